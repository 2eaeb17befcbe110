package cli

import (
	"fmt"
	"io"
	"runtime"
)

// A Version describes the build of a program.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source; "" if unknown
	Modified bool   `json:"modified"` // the source had local changes
}

// Print prints the version as text for people, or as a JSON object.
func (v Version) Print(out io.Writer, asJSON bool) error {
	all := struct {
		Version
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{v, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if asJSON {
		return printJSON(out, all)
	}
	revision := v.Revision
	switch {
	case revision == "":
		revision = "unknown"
	case v.Modified:
		revision += " (modified)"
	}
	_, err := fmt.Fprintf(out, "belfry %s\nrevision %s\n%s %s\n", v.Version, revision, all.Go, all.Platform)
	return err
}
