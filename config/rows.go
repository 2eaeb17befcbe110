package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Row is a setting for display.
type Row struct {
	Group   string
	Name    string // as in a file
	Value   string // as in a file
	Default bool   // it has its default value
	Reload  bool   // it can change while the broker runs
	Help    string
}

// Rows returns the settings in the order of the struct, and then the API keys. It shows no
// secrets: a key appears with its name and rights, a URL without its query.
func (c Config) Rows() []Row {
	line := commandLine{Serve: c}
	parser, err := newParser(&line, &input{})
	if err != nil {
		return nil // impossible: it has parsed c
	}
	var rows []Row
	for _, flag := range parser.Model.DefaultCmd.Flags {
		name := inFile(flag)
		row := Row{Group: flag.Group.Title, Name: name, Value: written(flag.Target, flag.Tag.Get("form")), Reload: flag.Tag.Get("reload") != "", Help: flag.Help}
		standard := reflect.New(flag.Target.Type()).Elem()
		row.Default = read(flag.Default, flag.Tag, standard) && same(standard, flag.Target)
		rows = append(rows, row)
	}
	for _, key := range c.Keys {
		rows = append(rows, Row{Group: "API keys", Name: "keys." + key.Name, Value: key.shown(), Reload: true})
	}
	return rows
}

// shown formats what a key may do.
func (k Key) shown() string {
	text := strings.Join(k.Rights, ", ") + " on " + strings.Join(k.Topics, ", ")
	if k.Rate > 0 {
		text += fmt.Sprintf(", %v events a second", k.Rate)
	}
	return text
}

// written formats a value as in a file.
func written(value reflect.Value, form string) string {
	switch v := value.Interface().(type) {
	case []string:
		return strings.Join(slices.DeleteFunc(slices.Clone(v), func(item string) bool { return item == "" }), ",")
	case time.Duration:
		return v.String()
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case string:
		if u, err := url.Parse(v); form == "jwks" && err == nil && u.RawQuery != "" {
			u.RawQuery = "(hidden)"
			return u.String()
		}
		return v
	}
	return "(hidden)"
}
