package config

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
)

// KeyCreate makes an API key.
type KeyCreate struct {
	Name   string   `default:"" placeholder:"NAME" form:"new-name" help:"Name of the key in logs and metrics. It is made up unless given."`
	Rights []string `default:"publish,register" placeholder:"RIGHTS" some:"yes" form:"publish|register|subscribe|admin" help:"What the key may do: publish, register, subscribe, admin (${default})."`
	Topics []string `default:">" placeholder:"PATTERNS" some:"yes" form:"topics" help:"Topics and patterns for which it may do so (${default})."`
	JSON   bool     `help:"Print everything on stdout as a JSON object."`
}

const keyNotes = `# The key is shown only this once. Programs send it as "Authorization: Bearer KEY".
# Put this entry into the list keys of the configuration file (--config). It has only the hash:
`

// Run makes a key. Stdout gets only the key, so that KEY=$(belfry key create) works.
// Stderr gets the rest, which is YAML with comments.
func (k KeyCreate) Run(stdout, stderr io.Writer) error {
	random := make([]byte, 32)
	rand.Read(random) //nolint:errcheck // it never fails
	key := "bk_" + base64.RawURLEncoding.EncodeToString(random)
	hash := sha256.Sum256([]byte(key))
	sum := hex.EncodeToString(hash[:])
	if k.Name == "" {
		k.Name = "key-" + sum[:8]
	}
	if k.JSON {
		made := struct {
			Key    string   `json:"key"`
			Name   string   `json:"name"`
			SHA256 string   `json:"sha256"`
			Rights []string `json:"rights"`
			Topics []string `json:"topics"`
		}{key, k.Name, sum, k.Rights, k.Topics}
		line, err := json.Marshal(made)
		if err == nil {
			_, err = fmt.Fprintf(stdout, "%s\n", line)
		}
		return err
	}
	topics, err := json.Marshal(k.Topics) // JSON is YAML too
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, key); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "%s  - name: %q\n    sha256: %s\n    rights: [%s]\n    topics: %s\n",
		keyNotes, k.Name, sum, strings.Join(k.Rights, ", "), topics)
	return err
}
