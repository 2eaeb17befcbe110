package docs_test

import (
	"fmt"
	"go/ast"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"belfry/tests/harness"
)

// Each command in a page is run by a test, or marked as one that is not.
//
// Commands stand in blocks of the language sh or console. TestCommands runs all blocks
// of sh of a page, in one shell and one folder, with a broker at hand. It takes blocks of
// yaml for the file belfry.yaml. A block is not run if a comment says why, in its first
// line (# not run: needs a domain) or before it (<!-- not run: needs a domain -->).

// ranElsewhere has the tests that run the blocks of a language in a page by themselves.
var ranElsewhere = map[string]map[string]string{
	"docs/cli.md":               {"console": "TestCommandLinePage"},
	"docs/guides/publishing.md": {"sh": "TestPublishingGuide"},
}

// A block is a piece of code in a page.
type block struct {
	line     int // of the page
	language string
	code     string
	notRun   bool // a mark says so
}

// isCommand reports whether a block is typed into a shell.
func (b block) isCommand() bool {
	return slices.Contains([]string{"sh", "bash", "shell", "console"}, b.language)
}

var (
	fence    = regexp.MustCompile("^ *```(.*)")
	markAt   = regexp.MustCompile(`^\s*(#|<!--) not run: .*\w`)
	indented = regexp.MustCompile(`^( {4}|\t)\s*\S`)
)

// blocksOf returns the fenced blocks of a page, and the lines of those that are only
// indented: nothing says what they are.
func blocksOf(page string) (blocks []block, unfenced []int) {
	var open *block
	before := "" // the line before
	mark := ""   // the last line that is not empty
	for n, line := range strings.Split(page, "\n") {
		found := fence.FindStringSubmatch(line)
		switch {
		case open == nil && found != nil:
			open = &block{line: n + 1, language: strings.TrimSpace(found[1]), notRun: markAt.MatchString(mark)}
		case open != nil && found != nil:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.notRun = open.notRun || open.code == "" && markAt.MatchString(line)
			open.code += line + "\n"
		case before == "" && indented.MatchString(line):
			unfenced = append(unfenced, n+1)
		}
		before = line
		if line != "" {
			mark = line
		}
	}
	return blocks, unfenced
}

// pagesOf returns the pages of the documentation.
func pagesOf(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "SECURITY.md"}
	err := filepath.WalkDir("docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".md" {
			pages = append(pages, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// TestEveryCommandIsRun: no page has a command that neither a test runs nor a mark
// excuses.
func TestEveryCommandIsRun(t *testing.T) {
	t.Parallel()
	var tests []string
	for _, f := range moduleFiles(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.isTest() {
				tests = append(tests, fn.Name.Name)
			}
		}
	}
	pages := pagesOf(t)
	for name := range ranElsewhere {
		if !slices.Contains(pages, name) {
			t.Errorf("%s is in a list, and there is no such page", name)
		}
	}
	for _, name := range pages {
		blocks, unfenced := blocksOf(read(t, name))
		for _, line := range unfenced {
			t.Errorf("%s:%d: a block is only indented: want a fence with a language", name, line)
		}
		for _, b := range blocks {
			switch test := ranElsewhere[name][b.language]; {
			case b.language == "console" && test == "" && !b.notRun:
				t.Errorf("%s:%d: nothing runs this block: want sh, or a comment that says why it is not run", name, b.line)
			case b.isCommand() && b.language != "console" && b.language != "sh":
				t.Errorf("%s:%d: the language is %s: want sh", name, b.line, b.language)
			case test != "" && !slices.Contains(tests, test):
				t.Errorf("%s:%d: there is no test %s that would run it", name, b.line, test)
			}
		}
	}
}

// TestBlocks is about the reader of pages itself.
func TestBlocks(t *testing.T) {
	t.Parallel()
	const page = "text\n\n```sh\na\nb\n```\n\n<!-- not run: no domain -->\n```sh\nc\n```\n\n```sh\n# not run: no zsh\nd\n```\n\n" +
		"    belfry\n\n- item\n  ```console\n  $ e\n  ```\n"
	blocks, unfenced := blocksOf(page)
	var got []string
	for _, b := range blocks {
		got = append(got, fmt.Sprintf("%d %s %q %v", b.line, b.language, b.code, b.notRun))
	}
	want := []string{`3 sh "a\nb\n" false`, `9 sh "c\n" true`, `13 sh "# not run: no zsh\nd\n" true`, `21 console "  $ e\n" false`}
	if !slices.Equal(got, want) || !slices.Equal(unfenced, []int{18}) {
		t.Errorf("%q, %v; want %q", got, unfenced, want)
	}
}

// TestCommands runs the commands of each page as they stand there. A broker listens
// where BELFRY_URL says; 127.0.0.1:8000 in a command is its address.
func TestCommands(t *testing.T) {
	t.Parallel()
	binary := sync.OnceValues(func() (string, error) { // whoever is first builds it
		name := filepath.Join(t.TempDir(), "belfry")
		out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return name, err
	})
	for _, name := range pagesOf(t) {
		if ranElsewhere[name]["sh"] != "" {
			continue
		}
		blocks, _ := blocksOf(read(t, name))
		if !slices.ContainsFunc(blocks, func(b block) bool { return b.language == "sh" && !b.notRun }) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := binary()
			if err != nil {
				t.Fatal(err)
			}
			typeAll(t, name, blocks, program)
		})
	}
}

// typeAll types the blocks of a page into a shell.
func typeAll(t *testing.T, name string, blocks []block, program string) {
	t.Helper()
	bash := harness.Installed(t, "bash")
	harness.Installed(t, "curl")
	b := harness.Start(t)
	dir, bin := t.TempDir(), t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(bin, "belfry"), fmt.Sprintf(shim, bash, program), 0o700)
	certificate := harness.NewTestCertificate("events.example.com")
	for _, pair := range [][2]string{{"cert.pem", "key.pem"}, {"fullchain.pem", "privkey.pem"}} {
		put(filepath.Join(dir, pair[0]), string(certificate.Cert), 0o600)
		put(filepath.Join(dir, pair[1]), string(certificate.Key), 0o600)
	}
	script := "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
	for _, piece := range blocks {
		code := strings.ReplaceAll(piece.code, "127.0.0.1:8000", b.Addr)
		file := fmt.Sprintf("line-%d", piece.line)
		switch {
		case piece.notRun:
		case piece.language == "yaml":
			put(filepath.Join(bin, file), code, 0o600)
			script += fmt.Sprintf("cp %q belfry.yaml\n", filepath.Join(bin, file))
		case piece.language == "sh":
			put(filepath.Join(bin, file), code, 0o600)
			script += fmt.Sprintf("echo '%s:%d' >&2\n. %q\n", name, piece.line, filepath.Join(bin, file))
		}
	}
	shell := exec.CommandContext(t.Context(), bash, "-c", script)
	shell.Dir = dir
	shell.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "BELFRY_") }),
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+dir, "BELFRY_URL=http://"+b.Addr)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// shim is belfry in that shell, a script of bash that gets the program. A broker is given
// free ports in place of those of the page, and is told to end as soon as it listens.
const shim = `#!%s
real=%q
case ${1-} in
--help | --version) exec "$real" "$@" ;;
'' | -* | serve) ;;
*) exec "$real" "$@" ;;
esac
unset BELFRY_URL
args=("$@")
given=
for i in "${!args[@]}"; do
	case ${args[i]} in
	--addr | --admin-addr)
		args[i + 1]=${args[i + 1]%%:*}:0
		[ "${args[i]}" = --addr ] && given=yes
		;;
	--config)
		sed -E 's/^((admin_)?addr: *"?[^"#]*):[0-9]+"?/\1:0/' "${args[i + 1]}" >"${args[i + 1]}.free"
		args[i + 1]=${args[i + 1]}.free
		grep -q '^addr:' "${args[i + 1]}" && given=yes
		;;
	esac
done
[ "$given" ] || args+=(--addr 127.0.0.1:0)
exec 3< <(exec "$real" "${args[@]}" 2>&1)
pid=$!
while read -r line <&3; do
	echo "$line" >&2
	[[ $line == *'"msg":"listening"'* ]] && kill -TERM "$pid"
done
wait "$pid"
`

// read returns a page.
func read(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
