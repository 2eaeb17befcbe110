package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/alecthomas/kong"
)

// TokenCreate makes a token, for tests and for setups without an issuer.
type TokenCreate struct {
	User       string        `default:"" placeholder:"NAME" form:"user" help:"The token's user (sub). Without it the token has no user."`
	Subscribe  []string      `default:"" placeholder:"PATTERNS" form:"topics" help:"Topics and patterns that the user may subscribe to."`
	Publish    []string      `default:"" placeholder:"PATTERNS" form:"topics" help:"Topics and patterns that the user may publish to."`
	Expires    time.Duration `default:"1h" range:"1s..8760h" help:"How long the token is valid (${default})."`
	Audience   []string      `default:"" placeholder:"NAMES" form:"audiences" help:"Services that the token is for (aud)."`
	Issuer     string        `default:"" placeholder:"NAME" form:"issuer" help:"Issuer of the token (iss)."`
	KeyID      string        `name:"key-id" default:"" placeholder:"NAME" form:"issuer" help:"Name of the key in a JWK set (kid)."`
	SecretFile string        `default:"" placeholder:"FILE" form:"file" help:"File with the secret to sign with (HS256)."`
	PrivateKey string        `default:"" placeholder:"FILE" form:"file" help:"PEM file with the private key to sign with (RS256, ES256 or EdDSA)."`

	Secret Secret        `kong:"-"` // content of SecretFile, or
	Key    crypto.Signer `kong:"-"` // content of PrivateKey: *rsa.PrivateKey, *ecdsa.PrivateKey (P-256), ed25519.PrivateKey
}

// TokenCheck reports how the broker with these settings would judge a token.
type TokenCheck struct {
	Token  string `arg:"" optional:"" default:"-" form:"token" help:"The token. Without it, or with -, it is read from stdin, which no shell history keeps."`
	Config `embed:""`
}

// signingKey reads the key that signs a token.
func (in *input) signingKey(c *TokenCreate) {
	if in.wrong["secret-file"] || in.wrong["private-key"] {
		return
	}
	if (c.SecretFile == "") == (c.PrivateKey == "") {
		in.problem("", "--secret-file with --private-key: want one of them, to sign with")
		return
	}
	flag, name := "secret-file", c.SecretFile
	if name == "" {
		flag, name = "private-key", c.PrivateKey
	}
	content, _, err := in.readFile(name, maxKeyFile)
	switch {
	case err != nil:
	case flag == "secret-file":
		c.Secret, err = secretOf(content)
	default:
		c.Key, err = privateKey(content)
	}
	if err != nil {
		in.problem(flag, "--%s=%s: %w", flag, name, err)
	}
}

// privateKey returns the first private key of a PEM file. Files of OpenSSL have the
// curve's parameters before it.
func privateKey(content []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key, fit(&key.PublicKey)
		case *ecdsa.PrivateKey:
			return key, fit(&key.PublicKey)
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, errUnfit
	}
	return nil, errors.New("want a private key in the PEM format, not encrypted")
}

// token matches the beginning of a token ({" in base64), so that no message shows one.
var token = regexp.MustCompile(`\bey[\w-]+\.[\w-]*\.[\w-]*`)

// withoutTokens removes tokens from an error of the command line's parser, which may
// repeat its input.
func withoutTokens(err error) error {
	return fmt.Errorf("%s (belfry --help lists what there is)", token.ReplaceAllString(err.Error(), "(a token)"))
}

// hasSettings reports whether a command's flags are the settings.
func hasSettings(path *kong.Path) bool {
	return path.Command != nil && (path.Command.Name == serve || path.Command.Path() == tokenCheck)
}
