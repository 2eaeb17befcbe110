//go:build !linux

package disk

// dropCache does nothing where there is no way to have cached pages dropped.
func dropCache(string) error { return nil }
