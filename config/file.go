package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// fileFlag is the flag that names the file: the one setting that cannot be in it.
const fileFlag = "config"

// file is a parsed configuration file.
type file struct {
	name     string
	unread   bool                  // it could not be read, so its settings are unknown
	settings map[string]*kong.Flag // by their names in the file
	lines    map[string]int        // where they are set, by those names
	values   map[string]fileValue  // the valid ones, by flag
	keys     []Key
	warnings []string
	problem  func(flag, format string, args ...any)
}

// fileValue is a setting's value and its first line.
type fileValue struct {
	line  int
	value reflect.Value
}

// inFile is a setting's name in a file: history.events is events in the group history.
func inFile(flag *kong.Flag) string {
	group, name := underscored(flag.Tag.Prefix), underscored(flag.Name)
	if group == "" {
		return name
	}
	return strings.TrimSuffix(group, "_") + "." + strings.TrimPrefix(name, group)
}

func underscored(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// load reads the file that the command line or the environment names.
func (in *input) load(ctx *kong.Context) {
	in.file = &file{settings: map[string]*kong.Flag{}, lines: map[string]int{}, values: map[string]fileValue{}, problem: in.problem}
	source, name := variable(fileFlag), in.variable(fileFlag)
	for _, step := range ctx.Path {
		if step.Flag != nil && step.Flag.Name == fileFlag {
			source, name = "--"+fileFlag, ctx.FlagValue(step.Flag).(string)
		}
	}
	for _, flag := range ctx.Model.DefaultCmd.Flags {
		if flag.Name != fileFlag {
			in.file.settings[inFile(flag)] = flag
		}
	}
	if in.file.unread = !isPlain(name); name == "" || in.file.unread { // a problem is reported where the flag is read
		return
	}
	in.file.name = name
	content, mode, err := in.readFile(name, maxFile)
	if err != nil {
		in.file.unread = true
		in.problem(fileFlag, "%s=%.100q: %w", source, name, err)
		return
	}
	in.file.document(content)
	in.file.warn(name, mode, len(in.file.keys) > 0)
}

// readFile is os.ReadFile with a bound. A reload reads only regular files: a pipe is empty
// by then, or would block.
func (in *input) readFile(name string, most int) ([]byte, fs.FileMode, error) {
	if info, err := os.Stat(name); in.again && err == nil && !info.Mode().IsRegular() {
		return nil, 0, errors.New("want a regular file, which can be read again")
	}
	opened, err := os.Open(name)
	if err != nil {
		return nil, 0, reason(err)
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return nil, 0, reason(err)
	}
	content, err := io.ReadAll(io.LimitReader(opened, int64(most)+1))
	switch {
	case err != nil:
		return nil, 0, reason(err)
	case len(content) > most:
		return nil, 0, fmt.Errorf("want a file of at most %d bytes", most)
	}
	return content, info.Mode(), nil
}

// reason returns an error without the file's name, which the message already has.
func reason(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// warn reports permissions for others than the owner that are too wide.
func (f *file) warn(name string, mode fs.FileMode, secret bool) {
	switch {
	case !mode.IsRegular() || runtime.GOOS == "windows": // pipes; a system whose permissions are not in the mode
	case mode&0o022 != 0:
		f.warnings = append(f.warnings, fmt.Sprintf("%s may be written by others than its owner (mode %04o)", name, mode.Perm()))
	case secret && mode&0o004 != 0:
		f.warnings = append(f.warnings, fmt.Sprintf("%s holds secrets or keys and may be read by everyone (mode %04o)", name, mode.Perm()))
	}
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// document reads the only document of the file.
func (f *file) document(content []byte) {
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	var document, another yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return // only comments
	} else if err != nil {
		f.unread = true
		line, what := "1", err.Error()
		if parts := syntaxError.FindStringSubmatch(what); parts != nil {
			what = parts[2]
			if parts[1] != "" {
				line = parts[1]
			}
		}
		// The parser reports the line where its trouble began, which may be above the mistake.
		f.problem("", "%s:%s: not YAML from here on: %s", f.name, line, what)
		return
	}
	f.group(document.Content[0], "")
	if err := decoder.Decode(&another); !errors.Is(err, io.EOF) {
		f.problem("", "%s:%d: want one document only", f.name, max(another.Line, 1))
	}
}

// entries returns the names and values of a mapping. It reports other nodes and
// duplicates.
func (f *file) entries(node *yaml.Node, path, what string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		if node.ShortTag() == "!!null" { // everything in it is commented out
			return
		}
		if node.Kind != yaml.MappingNode {
			f.problem("", "%s: want %s, not %s", f.at(node, path), what, f.kindAt(node, path))
			return
		}
		first := map[string]int{}
		for i := 0; i < len(node.Content); i += 2 {
			name, value := node.Content[i], node.Content[i+1]
			if name.Kind != yaml.ScalarNode {
				f.problem("", "%s: want names, not %s", f.at(name, path), kindOf(name))
				continue
			}
			if line, twice := first[name.Value]; twice {
				f.problem("", "%s is given twice, first in line %d", f.at(name, join(path, name.Value)), line)
				continue
			}
			first[name.Value] = name.Line
			if !yield(name, value) {
				return
			}
		}
	}
}

// group reads the settings of the document or of a group.
func (f *file) group(node *yaml.Node, path string) {
	for name, value := range f.entries(node, path, "a group of settings") {
		full := join(path, name.Value)
		switch setting := f.settings[full]; {
		case setting != nil:
			f.setting(setting, value, full)
		case full == keyList:
			f.listOfKeys(value)
		case f.isGroup(full):
			f.group(value, full)
		default:
			f.unknown(name, "setting", full, f.names())
		}
	}
}

func (f *file) isGroup(path string) bool {
	for name := range f.settings {
		if strings.HasPrefix(name, path+".") {
			return true
		}
	}
	return false
}

func (f *file) setting(setting *kong.Flag, node *yaml.Node, path string) {
	if line, twice := f.lines[path]; twice { // in its group, and by its full name
		f.problem("", "%s is given twice, first in line %d", f.at(node, path), line)
		return
	}
	f.lines[path] = node.Line
	target := reflect.New(setting.Target.Type()).Elem()
	if !f.value(node, path, setting.Tag, target, wantOf(setting.Value), setting.Name) {
		return
	}
	if form := setting.Tag.Get("form"); form == "file" || form == "files" || form == "folder" {
		f.beside(target)
	}
	f.values[setting.Name] = fileValue{node.Line, target}
}

// beside makes paths in the file relative to the file's folder, so that they do not depend
// on where the program is started.
func (f *file) beside(paths reflect.Value) {
	absolute := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(filepath.Dir(f.name), path)
	}
	switch field := paths.Addr().Interface().(type) {
	case *string:
		*field = absolute(*field)
	case *[]string:
		for i, path := range *field {
			(*field)[i] = absolute(path)
		}
	}
}

// value reads a node into a field, or reports what is wrong.
func (f *file) value(node *yaml.Node, path string, tag tags, target reflect.Value, want, flag string) bool {
	if list, ok := target.Addr().Interface().(*[]string); ok && node.Kind == yaml.SequenceNode {
		right := len(node.Content) > 0 || tag.Get("some") == ""
		if !right {
			f.problem(flag, "%s needs a value: want %s", f.at(node, path), want)
		}
		*list = []string{}
		for _, item := range node.Content {
			text := reflect.New(reflect.TypeFor[string]()).Elem()
			right = f.value(item, path, tag, text, want, flag) && right
			*list = append(*list, text.String())
		}
		return right
	}
	if node.Kind != yaml.ScalarNode {
		f.problem(flag, "%s: want %s, not %s", f.at(node, path), want, kindOf(node))
		return false
	}
	if node.ShortTag() == "!!null" {
		f.problem(flag, "%s needs a value: want %s", f.at(node, path), want)
		return false
	}
	fits, right := typed(node, target.Type()), read(node.Value, tag, target)
	if fits && right {
		return true
	}
	shown := fmt.Sprintf("=%.100q", node.Value)
	switch {
	case tag.Get("secret") != "": // a key may be here by mistake
		shown = ""
	case !right || target.Kind() == reflect.Bool:
	case node.ShortTag() == "!!str":
		want += ", without quotes"
	default:
		shown, want = fmt.Sprintf("=%.100s", node.Value), want+", in quotes"
	}
	f.problem(flag, "%s%s: want %s", f.at(node, path), shown, want)
	return false
}

// typed reports whether a value has the YAML type of its field: "100" is not the number
// 100.
func typed(node *yaml.Node, field reflect.Type) bool {
	tag := node.ShortTag()
	switch field {
	case reflect.TypeFor[int]():
		return tag == "!!int"
	case reflect.TypeFor[float64]():
		return tag == "!!int" || tag == "!!float"
	case reflect.TypeFor[bool]():
		return tag == "!!bool"
	case reflect.TypeFor[time.Duration]():
		return tag == "!!str" || tag == "!!int" // 0 needs no unit
	case reflect.TypeFor[[32]byte]():
		return tag == "!!str" || tag == "!!int" || tag == "!!float" // digits may look like a number
	}
	return tag == "!!str"
}

// kindAt is kindOf without the value, which may be a key by mistake.
func (f *file) kindAt(node *yaml.Node, path string) string {
	if strings.HasPrefix(path, keyList) && node.Kind == yaml.ScalarNode {
		return "a text"
	}
	return kindOf(node)
}

func kindOf(node *yaml.Node) string {
	switch node.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a group"
	case yaml.AliasNode:
		return "an alias"
	}
	return fmt.Sprintf("%.100q", node.Value)
}

// at formats a place in the file.
func (f *file) at(node *yaml.Node, path string) string {
	if path == "" {
		return fmt.Sprintf("%s:%d", f.name, node.Line)
	}
	return fmt.Sprintf("%s:%d: %.200s", f.name, node.Line, path)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
