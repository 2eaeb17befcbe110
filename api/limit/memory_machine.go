package limit

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// availableMemory returns the memory of the machine in bytes, or the limit of the
// process's control group if that is lower. It returns 0 if the system does not tell. The
// root is "/".
func availableMemory(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	consider := func(bytes int64, ok bool) {
		if ok && bytes > 0 {
			least = min(least, bytes)
		}
	}
	for line := range strings.Lines(readText(root, "proc/meminfo")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			kib, ok := parseBytes(f[1])
			consider(kib<<10, ok)
		}
	}
	for line := range strings.Lines(readText(root, "proc/self/cgroup")) {
		number, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		base, file := "sys/fs/cgroup", "memory.max" // version 2
		switch {
		case controllers == "memory":
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes" // version 1
		case number != "0":
			continue
		}
		// The limits of all parent groups hold as well. Inside a container only the
		// topmost directory is visible.
		for dir := path.Join("/", group); ; dir = path.Dir(dir) {
			consider(parseBytes(readText(root, path.Join(base, dir, file))))
			if dir == "/" {
				break
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// socketPages returns the number of memory pages of all TCP connections, from the text of
// /proc/net/sockstat.
func socketPages(sockstat string) int64 {
	for line := range strings.Lines(sockstat) {
		f := strings.Fields(line)
		for i := 1; i+1 < len(f) && f[0] == "TCP:"; i += 2 {
			if f[i] == "mem" {
				pages, _ := parseBytes(f[i+1])
				return pages
			}
		}
	}
	return 0
}

func readText(root fs.FS, name string) string {
	text, _ := fs.ReadFile(root, name) // a missing file is like an empty one
	return string(text)
}

// parseBytes reads a number; "max" is no limit.
func parseBytes(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}
