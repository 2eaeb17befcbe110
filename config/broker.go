package config

import (
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
)

// Broker has the address and the credentials for the commands that talk to a broker.
type Broker struct {
	URL         string `group:"The broker" default:"http://127.0.0.1:8000" placeholder:"URL" form:"broker" help:"Where the broker is: http://, https:// or unix:PATH. Else $BELFRY_URL (${default})."`
	KeyFile     string `group:"The broker" default:"" placeholder:"FILE" form:"file" help:"File with the API key or token. Else $BELFRY_KEY."`
	CA          string `name:"ca" group:"The broker" default:"" placeholder:"FILE" form:"file" help:"PEM file with certificates to trust instead of the system's."`
	InsecureTLS bool   `name:"insecure-tls" group:"The broker" help:"Trust any certificate. Then anybody in between can read and change everything."`

	Key   Secret         `kong:"-"` // the API key; nil: none
	Roots *x509.CertPool `kong:"-"` // the certificates of CA; nil: the system's
}

// The variables of commands that talk to a broker. The key is not a flag, because
// everybody on the machine can read flags.
const (
	urlFlag     = "url"
	keyVariable = prefix + "KEY"
)

// maxCA bounds a file with certificates, in bytes.
const maxCA = 1 << 20

// broker completes the settings of the broker's address.
func (in *input) broker(b *Broker) {
	key := []byte(in.environ[keyVariable])
	from := keyVariable
	if b.KeyFile != "" && !in.wrong["key-file"] {
		content, _, err := in.readFile(b.KeyFile, maxKeyFile)
		if err != nil {
			in.problem("key-file", "--key-file=%s: %w", b.KeyFile, err)
			return
		}
		key, from = content, "--key-file="+b.KeyFile
	}
	if text := strings.TrimSpace(string(key)); !isKeyText(text) {
		in.problem("key-file", "%s: want a key or token of printable ASCII characters", from)
	} else if text != "" {
		b.Key = Secret(text)
	}
	if b.CA == "" || in.wrong["ca"] {
		return
	}
	content, _, err := in.readFile(b.CA, maxCA)
	if b.Roots = x509.NewCertPool(); err == nil && !b.Roots.AppendCertsFromPEM(content) {
		err = errors.New("want certificates in the PEM format")
	}
	switch {
	case err != nil:
		in.problem("ca", "--ca=%s: %w", b.CA, err)
	case b.InsecureTLS:
		in.problem("ca", "--ca with --insecure-tls: want one of them")
	}
}

func isKeyText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' })
}

func isBroker(text string) bool {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return isSome(path) && len(path) <= maxSocketPath
	}
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && !strings.ContainsAny(text, "?#")
}
