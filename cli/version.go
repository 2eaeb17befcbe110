package cli

import (
	"fmt"
	"io"
	"runtime"
)

// A Version says what a program is made of.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source; "" if it is not known
	Modified bool   `json:"modified"` // the source was not quite that
}

// Print prints it as text for people, or as a JSON object.
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
