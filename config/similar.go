package config

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// unknown reports an unknown name in the file.
func (f *file) unknown(name *yaml.Node, what, given string, names []string) {
	if meant := similar(given, names); meant != "" {
		f.problem("", "%s:%d: unknown %s %.100q, did you mean %q?", f.name, name.Line, what, given, meant)
		return
	}
	f.problem("", "%s:%d: unknown %s %.100q", f.name, name.Line, what, given)
}

// names returns all names that a file may have, with the groups.
func (f *file) names() []string {
	names := map[string]bool{keyList: true}
	for name := range f.settings {
		names[name] = true
		if group, _, found := strings.Cut(name, "."); found {
			names[group] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// similar returns the name that was probably meant, "" if there is none.
func similar(given string, names []string) string {
	best, meant := 3, ""
	given = plain(given)
	for _, name := range names {
		if less := len(given) - len(name); less >= best || -less >= best {
			continue
		}
		if d := distance(given, plain(name)); d < best {
			best, meant = d, name
		}
	}
	return meant
}

// plain converts a flag's or a variable's name to the form in the file.
func plain(name string) string {
	return strings.TrimPrefix(strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToLower(name)), "belfry_")
}

// distance is the number of letters to insert, remove or change to turn a into b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
