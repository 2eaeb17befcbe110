package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/alecthomas/kong"
)

// docs/configuration.md is made from the structs' tags and from testdata/configuration.md.

//go:generate go test . -run ^TestReference$ -update

var update = flag.Bool("update", false, "write docs/configuration.md instead of comparing it")

const reference = "../docs/configuration.md"

func TestReference(t *testing.T) {
	t.Parallel()
	page := template.Must(template.New("configuration.md").Funcs(template.FuncMap{
		"settings": settingsTables, "keys": keyTable, "example": example,
		"commands": commandRows, "flags": flagTable, "flagTables": flagTables, "rules": ruleTable,
	}).ParseFiles("testdata/configuration.md"))
	var want bytes.Buffer
	if err := page.Execute(&want, nil); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(reference, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(reference); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is out of date (%v): run go generate ./config", reference, err)
	}
}

// groups are the settings by their groups, in the order of the struct.
func groups() (names []string, of map[string][]setting) {
	of = map[string][]setting{}
	for _, s := range settings() {
		outer := reflect.TypeFor[Config]().Field(s.index[0])
		name := outer.Tag.Get("group")
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], s)
	}
	return names, of
}

func settingsTables() string {
	var out strings.Builder
	names, of := groups()
	for _, name := range names {
		fmt.Fprintf(&out, "\n### %s\n\n| key in the file | flag, variable | type | values | default | means |\n| --- | --- | --- | --- | --- | --- |\n", name)
		for _, s := range of[name] {
			help := s.field.Tag.Get("help")
			if s.field.Tag.Get("reload") != "" {
				help += " *Reloads.*"
			}
			fmt.Fprintf(&out, "| %s | `%s`<br>`%s` | %s | %s | %s | %s |\n", orNone(s.key, s.flag == "--"+fileFlag),
				s.flag, s.variable, kind(s.field.Type), values(s.field), code(s.field.Tag.Get("default")), help)
		}
	}
	return strings.TrimSpace(out.String())
}

func keyTable() string {
	var out strings.Builder
	out.WriteString("| entry | type | values | default | means |\n| --- | --- | --- | --- | --- |\n")
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Key]()) {
		standard := code(field.Tag.Get("default"))
		if field.Tag.Get("required") != "" {
			standard = "must be given"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n",
			strings.ToLower(field.Name), kind(field.Type), values(field), standard, field.Tag.Get("help"))
	}
	return strings.TrimSpace(out.String())
}

// ruleTable has the rules between two settings.
func ruleTable() string {
	keys := make(map[string]string)
	for _, s := range settings() {
		keys[strings.TrimPrefix(s.flag, "--")] = s.key
	}
	var out strings.Builder
	out.WriteString("| settings | rule | because |\n| --- | --- | --- |\n")
	for _, rule := range rules {
		fmt.Fprintf(&out, "| `%s`, `%s` | %s | %s |\n", keys[rule.a], keys[rule.b], rule.want, rule.why)
	}
	return strings.TrimSpace(out.String())
}

// clientCommands are those that are documented by their tags alone.
func clientCommands() (all []*kong.Node) {
	parser, err := newParser(&commandLine{}, &input{})
	if err != nil {
		panic(err)
	}
	for _, command := range parser.Model.Children {
		if command.Name != serve && len(command.Children) == 0 {
			all = append(all, command)
		}
	}
	return all
}

func commandRows() string {
	var out strings.Builder
	for _, command := range clientCommands() {
		fmt.Fprintf(&out, "| `belfry %s` | %s |\n", command.Path(), command.Help)
	}
	return out.String()
}

// flagTables has the flags of each command that are not in the table of all.
func flagTables() string {
	var out strings.Builder
	for _, command := range clientCommands() {
		if table := flagTable(command.Name); table != "" {
			fmt.Fprintf(&out, "\n### belfry %s\n\n%s\n", command.Path(), table)
		}
	}
	return strings.TrimRight(out.String(), "\n")
}

// flagTable has the flags of a command; of "", those that say where the broker is.
func flagTable(name string) string {
	var out strings.Builder
	for _, command := range clientCommands() {
		for _, flag := range command.Flags {
			if (flag.Group != nil) != (name == "") || command.Name != name && name != "" || command.Name != "health" && name == "" {
				continue
			}
			if out.Len() == 0 {
				out.WriteString("| flag | values | default | means |\n| --- | --- | --- | --- |\n")
			}
			what := strings.Replace(flag.Tag.Get("range"), "..", " to ", 1)
			if what == "" {
				what, _, _ = strings.Cut(wantOf(flag.Value), ", such as ")
			}
			fmt.Fprintf(&out, "| `--%s` | %s | %s | %s |\n", flag.Name, what, code(flag.Default), flag.Help)
		}
	}
	return strings.TrimSpace(out.String())
}

func orNone(key string, none bool) string {
	if none {
		return "none"
	}
	return code(key)
}

func code(text string) string {
	if text == "" {
		return "none"
	}
	return "`" + text + "`"
}

func kind(of reflect.Type) string {
	switch of {
	case reflect.TypeFor[bool]():
		return "switch"
	case reflect.TypeFor[int](), reflect.TypeFor[float64]():
		return "number"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[[]string]():
		return "list"
	}
	return "text"
}

func values(field reflect.StructField) string {
	if low, high, ok := strings.Cut(field.Tag.Get("range"), ".."); ok {
		return low + " to " + high
	}
	what, _, _ := strings.Cut(wanted(field), ", such as ")
	return what
}

// example is a file with every setting's default, and a key.
func example() string {
	var out strings.Builder
	names, of := groups()
	for _, name := range names {
		fmt.Fprintf(&out, "\n# %s\n", name)
		inside := ""
		for _, s := range of[name] {
			if s.flag == "--"+fileFlag {
				fmt.Fprintf(&out, "# This file: %s FILE or %s=FILE.\n", s.flag, s.variable)
				continue
			}
			group, last, nested := strings.Cut(s.key, ".")
			if !nested {
				group, last = "", s.key
			}
			if group != inside && nested {
				fmt.Fprintf(&out, "%s:\n", group)
			}
			indent := ""
			if inside = group; nested {
				indent = "  "
			}
			line := indent + last + ": " + exampleValue(s)
			fmt.Fprintf(&out, "%-42s # %s\n", line, s.field.Tag.Get("help"))
		}
		if name == "Access" {
			out.WriteString(exampleKeys)
		}
	}
	return strings.TrimSpace(out.String())
}

const exampleKeys = `keys:                                      # belfry key create makes them
  - name: backend
    sha256: "0000000000000000000000000000000000000000000000000000000000000000" # nobody's key
    rights: [publish, register]
    topics: ["orders.>", "cats"]
    rate: 100
`

func exampleValue(s setting) string {
	standard := s.field.Tag.Get("default")
	switch s.field.Type {
	case reflect.TypeFor[[]string]():
		if standard == "*" {
			standard = `"*"`
		}
		return "[" + standard + "]"
	case reflect.TypeFor[string]():
		if standard == "" || strings.ContainsAny(standard, ":*") || s.field.Tag.Get("form") == "mode" {
			return `"` + standard + `"`
		}
	}
	return standard
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The first example is a short one, the last has all settings with their defaults.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	examples := yamlBlock.FindAllSubmatch(page, -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, example := range examples {
		c := mustParse(t, nil, "--config", write(t, string(example[1])))
		if len(c.Keys) != 1 || len(c.Warnings) != 0 {
			t.Errorf("%+v", c)
		}
	}
	c := mustParse(t, nil, "--config", write(t, string(examples[1][1])))
	c.File, c.Keys = "", nil
	defaults := mustParse(t, nil)
	for _, s := range settings() {
		if !same(reflect.ValueOf(c).FieldByIndex(s.index), reflect.ValueOf(defaults).FieldByIndex(s.index)) {
			t.Errorf("%s: the example's value is not the default", s.key)
		}
		if last := s.key[strings.LastIndex(s.key, ".")+1:]; !bytes.Contains(examples[1][1], []byte(last+": ")) && s.flag != "--"+fileFlag {
			t.Errorf("%s is not in the example", s.key)
		}
	}
}

// The page has every command, with its flags.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := newParser(&commandLine{}, &input{})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Leaves(true) {
		if !bytes.Contains(page, []byte("\n| `belfry "+command.Path()+"` |")) {
			t.Errorf("belfry %s is not in %s", command.Path(), reference)
		}
		for _, flag := range command.Flags {
			if command.Name != serve && !bytes.Contains(page, []byte("`--"+flag.Name)) {
				t.Errorf("--%s of belfry %s is not in %s", flag.Name, command.Path(), reference)
			}
		}
	}
}
