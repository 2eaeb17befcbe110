package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestReloadPipe: a pipe says once what it has. Read again it would be an empty file,
// without keys, or nobody would ever write to it: nothing changes.
func TestReloadPipe(t *testing.T) {
	t.Parallel()
	text := "keys: [{name: a, sha256: " + sumOfA + ", rights: [admin]}]\n"
	for name, args := range map[string]func(t *testing.T) (before, now []string){
		"the configuration": func(t *testing.T) ([]string, []string) {
			args := []string{"--config", piped(t, text)}
			return args, args
		},
		"a named one in the place of a file": func(t *testing.T) ([]string, []string) {
			return []string{"--config", write(t, text)}, []string{"--config", fifo(t)}
		},
		"the secret of tokens": func(t *testing.T) ([]string, []string) {
			return []string{"--jwt-secret-file", piped(t, strings.Repeat("s", 32))}, []string{"--jwt-secret-file", fifo(t)}
		},
		"the public keys of tokens": func(t *testing.T) ([]string, []string) {
			return nil, []string{"--jwt-public-keys", fifo(t)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, now := args(t)
			running := mustParse(t, nil, before...)
			next, _, err := Reload(running, now, nil)
			if err == nil || !strings.Contains(err.Error(), "want a regular file, which can be read again") || !reflect.DeepEqual(next, running) {
				t.Errorf("%v\n%+v", err, next)
			}
		})
	}
}

// piped returns the name of a pipe that holds a text.
func piped(t *testing.T, text string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return "/dev/fd/" + strconv.Itoa(int(r.Fd()))
}

// fifo returns the name of a pipe that nobody writes to.
func fifo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
