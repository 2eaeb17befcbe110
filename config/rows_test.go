package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every setting is shown as it may stand in a file, and nothing that is secret.
func TestRows(t *testing.T) {
	t.Parallel()
	const secret = "thesecretofthetokens-0123456789abcdef"
	dir := t.TempDir()
	secretFile, file := filepath.Join(dir, "secret"), filepath.Join(dir, "belfry.yaml")
	sum := sha256.Sum256([]byte("bk_key"))
	text := fmt.Sprintf("jwt:\n  secret_file: %s\n  jwks_url: https://id.example.com/keys?token=%s\nmax_message: 7\nhistory: {age: 90s}\nallowed_origins: [https://a.example, https://b.example]\n"+
		"keys:\n  - {name: backend, sha256: %x, rights: [publish, admin], topics: [\"orders.>\", cats], rate: 2.5}\n", secretFile, secret, sum)
	for name, content := range map[string]string{secretFile: secret, file: text} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Parse([]string{"--config=" + file}, nil, "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]Row)
	for _, row := range cfg.Rows() {
		if shown := fmt.Sprint(row); strings.Contains(shown, secret) || strings.Contains(shown, hex.EncodeToString(sum[:])) || strings.Contains(shown, fmt.Sprint(sum)) {
			t.Errorf("a secret is shown: %+v", row)
		}
		if _, twice := rows[row.Name]; twice || row.Group == "" {
			t.Errorf("%+v", row)
		}
		rows[row.Name] = row
	}
	for name, value := range map[string]string{
		"config": file, "jwt.secret_file": secretFile, "jwt.jwks_url": "https://id.example.com/keys?(hidden)", "max_message": "7", "history.age": "1m30s",
		"allowed_origins": "https://a.example,https://b.example", "insecure": "false", "tls.acme_hosts": "",
		"keys.backend": "publish, admin on orders.>, cats, 2.5 events a second",
	} {
		if row, ok := rows[name]; !ok || row.Value != value {
			t.Errorf("%s: %+v, want %q", name, row, value)
		}
	}
	for _, s := range settings() {
		row, ok := rows[s.key]
		if !ok && s.flag != "--"+fileFlag {
			t.Errorf("%s is missing", s.key)
		}
		if changed := row.Name == "max_message" || row.Name == "history.age" || row.Name == "allowed_origins" || strings.HasPrefix(row.Name, "jwt.secret") || row.Name == "jwt.jwks_url" || row.Name == "config"; ok && row.Default == changed {
			t.Errorf("%s: default %v", s.key, row.Default)
		}
	}
}
