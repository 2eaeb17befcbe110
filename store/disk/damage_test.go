package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"belfry/hub"
)

// Damage is looked at in child processes: it may end one.

const childVariable = "BELFRY_TEST_STORE"

// child does what the variable says, with the directory that it names, and ends.
func child() {
	what, dir, _ := strings.Cut(os.Getenv(childVariable), " ")
	now := birth
	s, err := Open(dir, options(&now))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(3)
	}
	switch what {
	case "read":
		r, err := s.Load(1 << 30)
		if err != nil {
			fmt.Println("load:", err)
			os.Exit(3)
		}
		for ev := range r.Events {
			fmt.Println(ev.Position, ev.ID, len(ev.Message))
		}
	case "full":
		fill(s)
	}
	os.Exit(0)
}

// run runs this program as a child.
func run(t *testing.T, what, dir string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+what+" "+dir, "GOTRACEBACK=none")
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// TestDamage: a bit that has changed or an end that is missing is told, or nothing that was
// committed is affected by it. It is never silent.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), birth
	s := open(t, dir, options(&now))
	var want strings.Builder
	for i := range 30 {
		c := commit(hub.Position(1+20*i), 20, 100, now)
		if err := s.Commit(c); err != nil {
			t.Fatal(err)
		}
		for _, ev := range c.Events {
			fmt.Fprintln(&want, ev.Position, ev.ID, len(ev.Message))
		}
	}
	s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	used := bytes.LastIndexFunc(whole, func(r rune) bool { return r != 0 }) + 1
	random := rand.New(rand.NewPCG(1, 2))
	told := 0
	for range 40 {
		b := slices.Clone(whole)
		at, bit := random.IntN(used), random.IntN(8)
		what := fmt.Sprintf("bit %d of byte %d", bit, at)
		if b[at] ^= 1 << bit; random.IntN(5) == 0 {
			b, what = whole[:at], fmt.Sprintf("the first %d bytes", at)
		}
		hurt := t.TempDir()
		if err := os.WriteFile(filepath.Join(hurt, FileName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := run(t, "read", hurt)
		switch {
		case code != 0:
			told++
		case out != want.String():
			t.Errorf("%s: it says nothing, and reads %d bytes instead of %d", what, len(out), want.Len())
		}
	}
	if told == 0 {
		t.Error("no damage was told")
	}
}

// TestFullDisk: what can't be written is refused and not there. When there is room again the
// store goes on, and its positions too.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := birth
	open(t, dir, options(&now)).Close()
	if out, code := run(t, "full", dir); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
}

// fill commits until the file may not grow any more, and then after it may.
func fill(s *Store) {
	check := func(ok bool, format string, args ...any) {
		if !ok {
			fmt.Printf(format+"\n", args...)
			os.Exit(1)
		}
	}
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before) == nil, "no limit is known")
	limit := before
	limit.Cur = 1 << 20
	check(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) == nil, "no limit can be set")
	var want []hub.Ordered
	next := hub.Position(1)
	try := func() error {
		c := commit(next, 10, 10_000, birth)
		next += 10
		err := s.Commit(c)
		if err == nil {
			want = append(want, c.Events...)
		}
		return err
	}
	var err error
	for err == nil && len(want) < 1000 {
		err = try()
	}
	check(errors.Is(err, hub.ErrNotStored), "with a full disk: %v", err)
	check(errors.Is(try(), hub.ErrNotStored), "and again: %v", err)
	check(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) == nil, "the limit can't be lifted")
	check(try() == nil, "with room again it does not go on")
	r, err := s.Load(1 << 30)
	check(err == nil, "%v", err)
	check(reflect.DeepEqual(slices.Collect(r.Events), want), "it has other events than it has taken")
	check(s.Close() == nil, "it can't be closed")
}
