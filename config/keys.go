package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// keyList is the name of the list of keys in a file.
const keyList = "keys"

// listOfKeys reads the list of API keys.
func (f *file) listOfKeys(node *yaml.Node) {
	if node.ShortTag() == "!!null" { // all are commented out
		return
	}
	if node.Kind != yaml.SequenceNode {
		f.problem("", "%s: want a list of keys, not %s", f.at(node, keyList), f.kindAt(node, keyList))
		return
	}
	for i, item := range node.Content {
		key := f.key(item, fmt.Sprintf("%s[%d]", keyList, i))
		f.keys = append(f.keys, key)
	}
}

// key reads an API key from the fields of [Key], in lower case.
func (f *file) key(node *yaml.Node, path string) Key {
	var key Key
	into := reflect.ValueOf(&key).Elem()
	given := map[string]bool{}
	for name, value := range f.entries(node, path, "a key with name, sha256 and rights") {
		field, ok := keyField(name.Value)
		if !ok {
			f.unknown(name, "entry", join(path, name.Value), keyNames(path))
			continue
		}
		given[field.Name] = true
		full, right := join(path, name.Value), wanted(field)
		if f.value(value, full, field.Tag, into.FieldByIndex(field.Index), right, keyList) {
			f.unique(value, full, key, field.Name)
		}
	}
	for _, field := range reflect.VisibleFields(into.Type()) {
		if given[field.Name] {
			continue
		}
		if field.Tag.Get("required") != "" && (node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null") {
			f.problem(keyList, "%s is missing: want %s", f.at(node, join(path, strings.ToLower(field.Name))), wanted(field))
		} else if standard, ok := field.Tag.Lookup("default"); ok {
			read(standard, field.Tag, into.FieldByIndex(field.Index))
		}
	}
	return key
}

// unique reports a name or a key that occurs twice.
func (f *file) unique(node *yaml.Node, path string, key Key, field string) {
	switch {
	case field == "Name" && slices.ContainsFunc(f.keys, func(k Key) bool { return k.Name == key.Name }):
		f.problem(keyList, "%s=%q: want a name that no other key has", f.at(node, path), key.Name)
	case field == "SHA256" && slices.ContainsFunc(f.keys, func(k Key) bool { return k.SHA256 == key.SHA256 }):
		f.problem(keyList, "%s: want a key that is not in the list yet", f.at(node, path))
	}
}

func keyField(name string) (reflect.StructField, bool) {
	return reflect.TypeFor[Key]().FieldByNameFunc(func(field string) bool { return strings.ToLower(field) == name })
}

func keyNames(path string) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Key]()) {
		names = append(names, join(path, strings.ToLower(field.Name)))
	}
	return names
}

func wanted(field reflect.StructField) string {
	return want(field.Tag, field.Type, field.Tag.Get("default"))
}
