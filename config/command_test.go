package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func parseCommand(t *testing.T, args ...string) any {
	t.Helper()
	command, err := ParseCommand(args, []string{"BELFRY_CONFIG=/nowhere", "BELFRY_NAME=x", "BELFRY_DRAIN=x"}, "1.2.3", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return command
}

// The settings of the broker have nothing to do with the other commands.
func TestParseKeyCreate(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]KeyCreate{
		"": {"", []string{"publish", "register"}, []string{">"}, false},
		"--name=a --rights=admin --rights=subscribe --topics=a.>,b --json": {"a", []string{"admin", "subscribe"}, []string{"a.>", "b"}, true},
	} {
		if got := parseCommand(t, append([]string{"key", "create"}, strings.Fields(args)...)...); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", args, got, want)
		}
	}
	if _, err := parse(nil, "key", "create"); err == nil {
		t.Error("another command's settings are taken for the broker's")
	}
}

func TestCommandErrors(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"key":      `expected "create" (belfry --help lists what there is)`,
		"key sing": `unexpected argument sing (belfry --help lists what there is)`,
		"key create --rights=fly --name=ä --topics=a,,b": `--rights="fly": want one of publish, register, subscribe, admin
--name="ä": want 1 to 64 of the characters A-Z a-z 0-9 . _ -, such as backend
--topics="a,,b": want topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs`,
		"key create --rights=":   `--rights="": want one of publish, register, subscribe, admin`,
		"key create --drain=1s":  `unknown flag --drain (belfry --help lists what there is)`,
		"serve --rights=publish": `unknown flag --rights (belfry --help lists what there is)`,
	} {
		_, err := ParseCommand(strings.Fields(args), nil, "", io.Discard, io.Discard)
		if fmt.Sprint(err) != want {
			t.Errorf("%s: got\n%v\nwant\n%s", args, err, want)
		}
	}
}

func TestCommandHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{"--help": "\n  key create  ", "key --help": "key create", "key create --help": "--rights=RIGHTS",
		"token create --help": "--private-key=FILE", "token check --help": "--jwt-issuer=NAME"} {
		var out strings.Builder
		if _, err := ParseCommand(strings.Fields(args), nil, "", &out, io.Discard); !errors.Is(err, ErrDone) || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", args, err, &out)
		}
		if strings.HasPrefix(args, "token") && strings.Contains(out.String(), "--drain") {
			t.Errorf("%s shows what it is not about:\n%s", args, &out)
		}
	}
}

var keyText = regexp.MustCompile(`^bk_[A-Za-z0-9_-]{43}$`)

// What goes to stderr may be appended to a file that ends with its keys, as often as there are programs.
func TestKeyCreate(t *testing.T) {
	t.Parallel()
	file := write(t, "drain: 1s\nkeys:\n")
	var sums [][32]byte
	for _, args := range []string{"", "--name=null --topics=größe,a\\,b,\"c\",d:#e --rights=admin", ""} {
		var key, entry strings.Builder
		command := parseCommand(t, append([]string{"key", "create"}, strings.Fields(args)...)...).(KeyCreate)
		if err := command.Run(&key, &entry); err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSuffix(key.String(), "\n")
		if !keyText.MatchString(text) || strings.Contains(entry.String(), text) {
			t.Errorf("on stdout: %q, on stderr:\n%s", &key, &entry)
		}
		sums = append(sums, sha256.Sum256([]byte(text)))
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(before, entry.String()...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys := mustParse(t, nil, "--config", file).Keys
	want := []Key{
		{"key-" + hex.EncodeToString(sums[0][:4]), sums[0], []string{"publish", "register"}, []string{">"}, 0},
		{"null", sums[1], []string{"admin"}, []string{"größe", "a,b", `"c"`, "d:#e"}, 0},
		{"key-" + hex.EncodeToString(sums[2][:4]), sums[2], []string{"publish", "register"}, []string{">"}, 0},
	}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("got %+v\nwant %+v", keys, want)
	}
}

func TestKeyCreateJSON(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	if err := parseCommand(t, "key", "create", "--json", "--name=a").(KeyCreate).Run(&out, &complaints); err != nil {
		t.Fatal(err)
	}
	var made struct {
		Key, Name, SHA256 string
		Rights, Topics    []string
	}
	if err := json.Unmarshal(out.Bytes(), &made); err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256([]byte(made.Key)); !keyText.MatchString(made.Key) || made.SHA256 != hex.EncodeToString(sum[:]) || made.Name != "a" ||
		!reflect.DeepEqual(made.Rights, []string{"publish", "register"}) || !reflect.DeepEqual(made.Topics, []string{">"}) ||
		complaints.Len() > 0 || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%s%s", &out, &complaints)
	}
}

func TestKeyCreateCannotPrint(t *testing.T) {
	t.Parallel()
	closed, writer := io.Pipe()
	closed.Close()
	for _, command := range []KeyCreate{{}, {JSON: true}} {
		var rest strings.Builder
		if err := command.Run(writer, &rest); err == nil || rest.Len() > 0 {
			t.Errorf("json %t: %v, %q", command.JSON, err, &rest)
		}
	}
}
