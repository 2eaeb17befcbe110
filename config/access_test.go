package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	sumOfA = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" // of "a"
	sumOfB = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	c := mustParse(t, nil, "--config", write(t, `
keys:
  - name: backend
    sha256: `+sumOfA+`
    rights: [publish, register]
    topics: ["orders.>", "a,b"]
    rate: 2.5
  - {name: dash, sha256: `+strings.ToUpper(sumOfB)+`, rights: "subscribe, admin"}
  - name: "1"
    sha256: 1111111111111111111111111111111111111111111111111111111111111111
    rights: [admin]
`))
	want := []Key{
		{"backend", sha256.Sum256([]byte("a")), []string{"publish", "register"}, []string{"orders.>", "a,b"}, 2.5},
		{"dash", sha256.Sum256([]byte("b")), []string{"subscribe", "admin"}, []string{">"}, 0},
		{"1", [32]byte(bytes.Repeat([]byte{0x11}, 32)), []string{"admin"}, []string{">"}, 0},
	}
	if !reflect.DeepEqual(c.Keys, want) {
		t.Errorf("got %+v\nwant %+v", c.Keys, want)
	}
	for _, content := range []string{"keys:", "keys: []", "keys:\n  # - name: a\n"} {
		if c := mustParse(t, nil, "--config", write(t, content)); len(c.Keys) != 0 {
			t.Errorf("%s: %+v", content, c.Keys)
		}
	}
}

func TestKeyErrors(t *testing.T) {
	t.Parallel()
	const (
		name   = "want 1 to 64 of the characters A-Z a-z 0-9 . _ -, such as backend"
		sum    = "want 64 hexadecimal digits, as belfry key create shows them"
		rights = "want one of publish, register, subscribe, admin"
		topics = "want topics of 1 to 255 bytes of UTF-8 without control characters, such as cats,dogs"
		right  = "name: a, sha256: " + sumOfA + ", rights: [publish]"
	)
	for content, want := range map[string]string{
		"keys: {a: b}": "FILE:1: keys: want a list of keys, not a group",
		"keys: [x]":    `FILE:1: keys[0]: want a key with name, sha256 and rights, not a text`,
		"keys:\n- topics: [a]": "FILE:2: keys[0].name is missing: " + name + "\nFILE:2: keys[0].sha256 is missing: " + sum +
			"\nFILE:2: keys[0].rights is missing: " + rights,
		"keys:\n- name: a b\n  sha256: bk_secret\n  rights: [fly, admin]\n  topics: [\"\"]\n  rate: -1\n  key: bk_secret": `FILE:2: keys[0].name="a b": ` + name +
			"\nFILE:3: keys[0].sha256: " + sum + "\nFILE:4: keys[0].rights=\"fly\": " + rights + "\nFILE:5: keys[0].topics=\"\": " + topics +
			"\nFILE:6: keys[0].rate=\"-1\": want a number of 0 to 1000000, such as 0\nFILE:7: unknown entry \"keys[0].key\"",
		"keys: [{name: 1, sha256: [], rights: [], topics: []}]": "FILE:1: keys[0].name=1: " + name + ", in quotes\nFILE:1: keys[0].sha256: " + sum +
			", not a list\nFILE:1: keys[0].rights needs a value: " + rights + "\nFILE:1: keys[0].topics needs a value: " + topics,
		"keys: [{name: , sha256: , rights: , topics: }]": "FILE:1: keys[0].name needs a value: " + name + "\nFILE:1: keys[0].sha256 needs a value: " + sum +
			"\nFILE:1: keys[0].rights needs a value: " + rights + "\nFILE:1: keys[0].topics needs a value: " + topics,
		"keys: [{" + right + ", rate: .inf}]":  `FILE:1: keys[0].rate=".inf": want a number of 0 to 1000000, such as 0`,
		"keys: [{" + right + ", rate: .nan}]":  `FILE:1: keys[0].rate=".nan": want a number of 0 to 1000000, such as 0`,
		"keys: [{" + right + ", rate: \"5\"}]": `FILE:1: keys[0].rate="5": want a number of 0 to 1000000, such as 0, without quotes`,
		"keys: [{" + right + ", right: [a]}]":  `FILE:1: unknown entry "keys[0].right", did you mean "keys[0].rights"?`,
		"keys: [{" + right + ", name: b}]":     `FILE:1: keys[0].name is given twice, first in line 1`,
		"keys: [{name: " + strings.Repeat("x", 65) + ", sha256: " + sumOfA + "0, rights: [admin]}]": "FILE:1: keys[0].name=\"" + strings.Repeat("x", 65) +
			"\": " + name + "\nFILE:1: keys[0].sha256: " + sum,
		"keys:\n- {" + right + "}\n- {" + right + "}": "FILE:3: keys[1].name=\"a\": want a name that no other key has\n" +
			"FILE:3: keys[1].sha256: want a key that is not in the list yet",
		"key: []":         `FILE:1: unknown setting "key", did you mean "keys"?`,
		"insecure: yes":   `FILE:1: insecure="yes": want true or false`,
		"insecure: 1":     `FILE:1: insecure="1": want true or false`,
		"insecure: \"1\"": `FILE:1: insecure="1": want true or false`,
	} {
		file := write(t, content)
		_, err := parse(nil, "--config", file)
		if got := strings.ReplaceAll(fmt.Sprint(err), file, "FILE"); got != want {
			t.Errorf("%s\ngot\n%s\nwant\n%s", content, got, want)
		}
	}
}

func TestReadableSecrets(t *testing.T) {
	t.Parallel()
	file := write(t, "keys: [{name: a, sha256: "+sumOfA+", rights: [admin]}]\njwt: {secret_file: secret, public_keys: [public]}\n")
	secret, public := filepath.Join(filepath.Dir(file), "secret"), filepath.Join(filepath.Dir(file), "public")
	for name, content := range map[string]string{secret: strings.Repeat("s", 32), public: publicPEM(t)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c := mustParse(t, nil, "--config", file); len(c.Warnings) != 0 {
		t.Errorf("%q", c.Warnings)
	}
	for name, mode := range map[string]os.FileMode{file: 0o604, secret: 0o644, public: 0o646} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		file + " holds secrets or keys and may be read by everyone (mode 0604)",
		secret + " holds secrets or keys and may be read by everyone (mode 0644)",
		public + " may be written by others than its owner (mode 0646)",
	}
	if c := mustParse(t, nil, "--config", file); !reflect.DeepEqual(c.Warnings, want) {
		t.Errorf("got %q, want %q", c.Warnings, want)
	}
}

// inPEM is a block of a PEM file. The function that made its content may have failed.
func inPEM(t *testing.T, kind string) func(der []byte, err error) string {
	return func(der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
}

func publicPEM(t *testing.T) string {
	t.Helper()
	return inPEM(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(ed25519.PublicKey(make([]byte, 32))))
}

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	// A key nobody has the other half of will do.
	strong := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 2047, 1), E: 65537}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{SerialNumber: big.NewInt(1)}
	first := write(t, publicPEM(t)+"a remark\n"+inPEM(t, "RSA PUBLIC KEY")(x509.MarshalPKCS1PublicKey(strong), nil))
	second := write(t, inPEM(t, "CERTIFICATE")(x509.CreateCertificate(rand.Reader, certificate, certificate, ec.Public(), ec)))
	secret := write(t, strings.Repeat("s", 32)+"\r\n")
	c := mustParse(t, nil, "--jwt-public-keys="+first+","+second, "--jwt-secret-file="+secret)
	if len(c.JWT.Keys) != 3 || !strong.Equal(c.JWT.Keys[1]) || !ec.PublicKey.Equal(c.JWT.Keys[2]) || string(c.JWT.Secret) != strings.Repeat("s", 32) {
		t.Errorf("%+v", c.JWT)
	}
	if printed := fmt.Sprintf("%v %+v", c, c); strings.Contains(printed, "115 115") || !strings.Contains(printed, "(secret)") {
		t.Errorf("the secret is printed: %s", printed)
	}
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	weak := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const unfit = "want keys for RS256 (2048 to 8192 bits), ES256 (P-256) or EdDSA (Ed25519)"
	for flag, contents := range map[string]map[string]string{
		"--jwt-secret-file": {
			"":                               "want a secret of at least 32 bytes, not 0",
			strings.Repeat("s", 31) + "\n":   "want a secret of at least 32 bytes, not 31",
			strings.Repeat("s", 64<<10+1):    "want a file of at most 65536 bytes",
			strings.Repeat("s", 31) + "\r\n": "want a secret of at least 32 bytes, not 31",
		},
		"--jwt-public-keys": {
			"":           "want public keys or certificates in the PEM format",
			"ssh-rsa AA": "want public keys or certificates in the PEM format",
			inPEM(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(weak)):                         unfit,
			publicPEM(t) + inPEM(t, "PUBLIC KEY")(x509.MarshalPKIXPublicKey(&ec.PublicKey)): unfit,
			inPEM(t, "EC PRIVATE KEY")(x509.MarshalECPrivateKey(ec)):                        `want public keys or certificates, not a "EC PRIVATE KEY"`,
		},
	} {
		for content, want := range contents {
			name := write(t, content)
			if _, err := parse(nil, flag, name); !strings.HasPrefix(fmt.Sprint(err), flag+"="+name+": ") || !strings.HasSuffix(err.Error(), ": "+want) {
				t.Errorf("%s with %.40q: %v", flag, content, err)
			}
		}
	}
	file := write(t, "jwt:\n  secret_file: none\n  public_keys: none\n")
	folder := filepath.Dir(file)
	want := fmt.Sprintf(`jwt.secret_file=%[1]s/none (%[2]s:2): no such file or directory
jwt.public_keys=%[1]s/none (%[2]s:3): %[1]s/none: no such file or directory`, folder, file)
	if _, err := parse(nil, "--config", file); fmt.Sprint(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestTokensWithoutKeys(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--jwt-audience=a", "--jwt-issuer=a", "--jwt-max-age=1h"} {
		if c := mustParse(t, nil, args); len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], "no token is accepted: set ") {
			t.Errorf("%s: %q", args, c.Warnings)
		}
		if c := mustParse(t, nil, args, "--jwt-jwks-url=https://a.example"); len(c.Warnings) != 0 {
			t.Errorf("%s: %q", args, c.Warnings)
		}
	}
}
