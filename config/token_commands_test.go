package config

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseTokenCreate(t *testing.T) {
	t.Parallel()
	secret := write(t, strings.Repeat("s", 32)+"\n")
	got := parseCommand(t, "token", "create", "--secret-file="+secret, "--user=größe", "--subscribe=a.>,b", "--publish=c", "--expires=90s",
		"--audience=x,y", "--issuer=i", "--key-id=k").(TokenCreate)
	want := TokenCreate{User: "größe", Subscribe: []string{"a.>", "b"}, Publish: []string{"c"}, Expires: 90 * time.Second,
		Audience: []string{"x", "y"}, Issuer: "i", KeyID: "k", SecretFile: secret, Secret: Secret(strings.Repeat("s", 32))}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPrivateKeys(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	const unfit = "want keys for RS256 (2048 to 8192 bits), ES256 (P-256) or EdDSA (Ed25519)"
	params := inPEM(t, "EC PARAMETERS")([]byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil)
	ed := ed25519.NewKeyFromSeed(make([]byte, 32))
	for content, want := range map[string]string{
		params + inPEM(t, "EC PRIVATE KEY")(x509.MarshalECPrivateKey(ec)):    "",
		inPEM(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(ec)):             "",
		inPEM(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(ed)):             "",
		inPEM(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(long)):           "",
		inPEM(t, "RSA PRIVATE KEY")(x509.MarshalPKCS1PrivateKey(long), nil):  "",
		inPEM(t, "RSA PRIVATE KEY")(x509.MarshalPKCS1PrivateKey(short), nil): unfit,
		inPEM(t, "PRIVATE KEY")(x509.MarshalPKCS8PrivateKey(wide)):           unfit,
		inPEM(t, "ENCRYPTED PRIVATE KEY")([]byte("x"), nil):                  "want a private key in the PEM format, not encrypted",
		publicPEM(t): "want a private key in the PEM format, not encrypted",
		"":           "want a private key in the PEM format, not encrypted",
	} {
		file := write(t, content)
		command, err := ParseCommand([]string{"token", "create", "--private-key", file}, nil, "", io.Discard, io.Discard)
		switch {
		case want != "":
			if fmt.Sprint(err) != "--private-key="+file+": "+want {
				t.Errorf("%.40q: %v, want %s", content, err, want)
			}
		case err != nil:
			t.Errorf("%.40q: %v", content, err)
		default:
			if err := fit(command.(TokenCreate).Key.Public()); err != nil {
				t.Error(err)
			}
		}
	}
	if err := fit(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), maxRSA), E: 3}); err == nil {
		t.Error("a key that takes long to check with")
	}
}

func TestTokenCommandErrors(t *testing.T) {
	t.Parallel()
	const either = "--secret-file with --private-key: want one of them, to sign with"
	secret := write(t, strings.Repeat("s", 31))
	for args, want := range map[string]string{
		"token":        `expected one of "create", "check" (belfry --help lists what there is)`,
		"token create": either,
		"token create --secret-file=a --private-key=b": either,
		"token create --secret-file=" + secret:         "--secret-file=" + secret + ": want a secret of at least 32 bytes, not 31",
		"token create --secret-file=/nowhere/x":        "--secret-file=/nowhere/x: no such file or directory",
		"token create --secret-file= --expires=0s --user=" + strings.Repeat("x", 256): "--expires=\"0s\": want a duration of 1s to 8760h, such as 1h\n" +
			"--user=\"" + strings.Repeat("x", 100) + "\": want a user id of at most 255 bytes without control characters\n" + either,
		"token check a --drain=x":                   `--drain="x": want a duration of 0s to 1h, such as 10s`,
		"token check Bearer eyJhbGciOiJIUzI1.e30.x": "unexpected argument (a token) (belfry --help lists what there is)",
		"token check --eyJhbGciOiJIUzI1.e30.x":      "unknown flag --(a token) (belfry --help lists what there is)",
	} {
		_, err := ParseCommand(strings.Fields(args), nil, "", io.Discard, io.Discard)
		if fmt.Sprint(err) != want {
			t.Errorf("%s: got\n%v\nwant\n%s", args, err, want)
		}
	}
}

// A token is checked with the broker's own settings, wherever they stand.
func TestTokenCheckHasTheSettings(t *testing.T) {
	t.Parallel()
	secret := write(t, strings.Repeat("s", 32))
	file := write(t, "addr: 10.0.0.1:80\njwt:\n  secret_file: "+secret+"\n  issuer: i\n  leeway: 1s\n")
	command, err := ParseCommand([]string{"token", "check", "a.b.c", "--jwt-leeway=2s"}, []string{"BELFRY_CONFIG=" + file, "BELFRY_JWT_AUDIENCE=x"}, "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	served, err := Parse([]string{"--jwt-leeway=2s"}, []string{"BELFRY_CONFIG=" + file, "BELFRY_JWT_AUDIENCE=x"}, "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c := command.(TokenCheck); c.Token != "a.b.c" || !reflect.DeepEqual(c.Config, served) || string(c.JWT.Secret) != strings.Repeat("s", 32) {
		t.Errorf("got %+v\nwant %+v", c.Config, served)
	}
	if command, err = ParseCommand([]string{"token", "check"}, nil, "", io.Discard, io.Discard); err != nil || command.(TokenCheck).Token != "-" {
		t.Errorf("%+v, %v", command, err)
	}
}
