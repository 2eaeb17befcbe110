package operations_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/tests/harness"
)

// A losing is a way to lose rights.
type losing struct {
	bearer string // who has the rights: "key", "token" or, without credentials, ""
	before string // the configuration
	after  string // that it is reloaded with; "" is as before
	call   string // made with the key of the backend; "" is none
	passes bool   // two hours
	issuer bool   // the token is of an issuer, which takes back its key
}

const (
	backendKey = "backend" // of the test itself; it has all rights, always
	holderKey  = "holder"  // the one that loses them
)

// losings are the columns of the table, in order.
func losings(secret, other string) (names []string, all map[string]losing) {
	backend, every := harness.Entry(backendKey, "publish, register, subscribe, admin", ">"), "publish, register, subscribe, admin"
	keys := "keys:\n" + backend
	tokens := func(file string) string {
		return fmt.Sprintf("jwt: {secret_file: %q, leeway: 0s}\n", file)
	}
	holder := func(rights, topics string) string { return keys + harness.Entry(holderKey, rights, topics) }
	return []string{"expired", "secret", "issuer", "key", "rights", "patterns", "closed", "user", "client"}, map[string]losing{
		"expired":  {bearer: "token", before: keys + tokens(secret), passes: true},
		"secret":   {bearer: "token", before: keys + tokens(secret), after: keys + tokens(other)},
		"issuer":   {bearer: "token", before: keys, issuer: true},
		"key":      {bearer: "key", before: holder(every, ">"), after: keys},
		"rights":   {bearer: "key", before: holder(every, ">"), after: holder("publish", ">")},
		"patterns": {bearer: "key", before: holder(every, ">"), after: holder(every, "b.>")},
		"closed":   {before: "{}\n", after: keys},
		"user":     {bearer: "token", before: keys + tokens(secret), call: "DELETE /users/7/clients"},
		"client":   {bearer: "key", before: holder(every, ">"), call: "DELETE /register/"},
	}
}

// The table has the result of each way in for each way to lose rights. A status comes with
// the code of its problem. A WebSocket ends with the code and the reason of its Close
// frame. Other things end with a reason or a code. "good" means unchanged. "-" means that
// the holder could not do it before either.
const rightsTable = `
                   | expired             | secret                  | issuer                  | key                     | rights        | patterns      | closed                  | user              | client
register           | -                   | -                       | -                       | 401 credentials_invalid | 403 forbidden | 403 forbidden | 401 credentials_missing | -                 | good
publish            | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | good          | 403 forbidden | 401 credentials_missing | good              | good
publish a list     | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | good          | 403 forbidden | 401 credentials_missing | good              | good
CloudEvent         | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | good          | 403 forbidden | 401 credentials_missing | good              | good
stream of lines    | token_expired       | credentials_invalid     | credentials_invalid     | credentials_invalid     | good          | forbidden     | credentials_missing     | good              | good
v1 publish         | 4002 token_expired  | 4002 revoked            | 4002 revoked            | 4002 revoked            | 4002 revoked  | forbidden     | 4002 revoked            | 4000 unregistered | good
v1 subscribe       | 4002 token_expired  | 4002 revoked            | 4002 revoked            | 4002 revoked            | 4002 revoked  | forbidden     | 4002 revoked            | 4000 unregistered | good
v1 unsubscribe     | 4002 token_expired  | 4002 revoked            | 4002 revoked            | 4002 revoked            | 4002 revoked  | good          | 4002 revoked            | 4000 unregistered | good
v1 auth            | 4002 token_expired  | 4002 revoked            | 4002 revoked            | -                       | -             | -             | -                       | 4000 unregistered | -
v1 delivery        | 4002 token_expired  | 4002 revoked            | 4002 revoked            | 4002 revoked            | 4002 revoked  | 4002 revoked  | 4002 revoked            | 4000 unregistered | good
v1 figures         | -                   | -                       | -                       | 4002 revoked            | 4002 revoked  | good          | 4002 revoked            | -                 | good
bare delivery      | 4002 token_expired  | 4002 revoked            | 4002 revoked            | 4002 revoked            | 4002 revoked  | 4002 revoked  | 4002 revoked            | 4000 unregistered | good
CloudEvents ws     | 4002 token_expired  | 4002 revoked            | 4002 revoked            | 4002 revoked            | 4002 revoked  | 4002 revoked  | 4002 revoked            | 4000 unregistered | good
SSE delivery       | token_expired       | revoked                 | revoked                 | revoked                 | revoked       | revoked       | revoked                 | unregistered      | good
SSE over HTTP/2    | token_expired       | revoked                 | revoked                 | revoked                 | revoked       | revoked       | revoked                 | unregistered      | good
connect            | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | 403 forbidden | 403 forbidden | 401 credentials_missing | good              | good
connect by SSE     | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | 403 forbidden | 403 forbidden | 401 credentials_missing | good              | good
history            | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | 403 forbidden | 403 forbidden | 401 credentials_missing | good              | good
long poll          | 401 token_expired   | 401 credentials_invalid | 401 credentials_invalid | 401 credentials_invalid | 403 forbidden | 403 forbidden | 401 credentials_missing | good              | good
remove a user      | -                   | -                       | -                       | 401 credentials_invalid | 403 forbidden | good          | 401 credentials_missing | -                 | good
operators' calls   | -                   | -                       | -                       | 401 credentials_invalid | 403 forbidden | good          | 401 credentials_missing | -                 | good
ticket: delivery   | good                | good                    | good                    | good                    | good          | good          | 4002 revoked            | 4000 unregistered | 4000 unregistered
ticket: publish    | -                   | -                       | -                       | -                       | -             | -             | 4002 revoked            | -                 | -
ticket: subscribe  | good                | good                    | good                    | good                    | good          | good          | 4002 revoked            | 4000 unregistered | 4000 unregistered
ticket: connect    | good                | good                    | good                    | good                    | good          | good          | 404 unknown_client      | 404 unknown_client| 404 unknown_client
ticket: SSE        | good                | good                    | good                    | good                    | good          | good          | 404 unknown_client      | 404 unknown_client| 404 unknown_client
ticket: add_topic  | good                | good                    | good                    | good                    | good          | good          | 404 unknown_client      | 404 unknown_client| 404 unknown_client
ticket: remove     | good                | good                    | good                    | good                    | good          | good          | 404 unknown_client      | 404 unknown_client| 404 unknown_client
ticket: DELETE     | good                | good                    | good                    | good                    | good          | good          | not there               | not there         | not there
admin_addr publish | good                | good                    | good                    | good                    | good          | good          | good                    | good              | good
admin_addr stream  | good                | good                    | good                    | good                    | good          | good          | good                    | good              | good
admin_addr v1      | good                | good                    | good                    | good                    | good          | good          | good                    | good              | good
admin_addr figures | good                | good                    | good                    | good                    | good          | good          | good                    | good              | good
admin_addr poll    | good                | good                    | good                    | good                    | good          | good          | good                    | good              | good
admin_addr calls   | good                | good                    | good                    | good                    | good          | good          | good                    | good              | good
`

// cells reads the table, by row and column.
func cells(t *testing.T, columns []string) map[string]map[string]string {
	t.Helper()
	lines := strings.Split(strings.Trim(rightsTable, "\n"), "\n")
	split := func(line string) (parts []string) {
		for part := range strings.SplitSeq(line, "|") {
			parts = append(parts, strings.TrimSpace(part))
		}
		return parts
	}
	if head := split(lines[0]); !slices.Equal(head[1:], columns) {
		t.Fatalf("the columns are %q", head)
	}
	table := make(map[string]map[string]string)
	for _, line := range lines[1:] {
		row := split(line)
		table[row[0]] = make(map[string]string)
		for i, column := range columns {
			table[row[0]][column] = row[i+1]
		}
	}
	return table
}

// TestRights: rights that are lost are lost everywhere. Each way in is begun while the
// rights exist; then they are lost.
func TestRights(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	secrets := [2]string{filepath.Join(files, "one"), filepath.Join(files, "two")}
	for i, name := range secrets {
		if err := os.WriteFile(name, []byte(strings.Repeat(fmt.Sprint(i), 32)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	columns, all := losings(secrets[0], secrets[1])
	table := cells(t, columns)
	for row := range table {
		if waysIn[row] == nil {
			t.Errorf("nobody tries %s", row)
		}
	}
	for _, column := range columns {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			for _, ours := range []bool{false, true} {
				r := newRightsTest(t, all[column], secrets[0], ours)
				probes := make(map[string]func() string)
				for row, begin := range waysIn {
					if strings.HasPrefix(row, "admin_addr") == ours && table[row][column] != "-" {
						probes[row] = begin(r)
					}
				}
				r.lose()
				for row, probe := range probes {
					if got := probe(); got != table[row][column] {
						t.Errorf("%s: %s, want %s", row, got, table[row][column])
					}
				}
			}
		})
	}
}

// A rightsTest is a broker and its users.
type rightsTest struct {
	t *testing.T
	*harness.Keyed
	losing
	admin  *harness.Broker // at the operators' address
	as     string          // header Authorization of who loses its rights; "" without
	later  atomic.Int64
	rotate func()   // has the issuer publish another key
	ids    []string // of the clients that the holder has registered
	told   int      // events so far
}

func newRightsTest(t *testing.T, l losing, secret string, ours bool) *rightsTest {
	r := &rightsTest{t: t, losing: l}
	flags := []string{"--register-ttl=24h", "--resume-window=24h", "--jwt-leeway=0s", "--history-age=24h", "--protocols=http1+http2"}
	if ours {
		flags = append(flags, "--admin-addr=127.0.0.1:0")
	}
	private := ""
	if l.issuer {
		var url string
		url, private, r.rotate = rotatingIssuer(t)
		flags = append(flags, "--jwt-jwks-url="+url)
	}
	r.Keyed = &harness.Keyed{File: filepath.Join(t.TempDir(), "belfry.yaml")}
	r.WriteFile(t, l.before)
	clock := func() time.Time { return time.Now().Add(time.Duration(r.later.Load())) }
	r.Broker = harness.StartAt(t, clock, append(flags, "--config="+r.File)...)
	if ours {
		r.admin = harness.NewBroker()
		r.admin.Addr = adminAddr(r.Keyed.Broker, t)
		t.Cleanup(r.admin.HTTP.CloseIdleConnections)
	}
	switch grants := []string{"--user=7", "--subscribe=>", "--publish=>", "--expires=1h"}; {
	case l.issuer:
		token, _ := harness.Command("token", append([]string{"create", "--private-key=" + private, "--key-id=a"}, grants...)...)
		r.as = "Bearer " + strings.TrimSpace(token)
	case l.bearer == "token":
		r.as = "Bearer " + harness.NewToken(t, secret, grants...)
	case l.bearer == "key":
		r.as = "Bearer " + holderKey
	}
	return r
}

// rotatingIssuer publishes one key, and later another one with the same name.
func rotatingIssuer(t *testing.T) (url, private string, rotate func()) {
	t.Helper()
	first, private := harness.NewIssuer(t)
	second, _ := harness.NewIssuer(t)
	var at atomic.Pointer[string]
	at.Store(&first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		set, err := http.Get(*at.Load())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer set.Body.Close()
		_, _ = io.Copy(w, set.Body)
	}))
	t.Cleanup(func() { server.Close(); http.DefaultClient.CloseIdleConnections() })
	return server.URL, private, func() { at.Store(&second) }
}

// lose takes the rights away, and waits until the broker applies that.
func (r *rightsTest) lose() {
	r.t.Helper()
	if r.passes {
		r.later.Store(int64(2 * time.Hour))
	}
	if r.after != "" || r.issuer {
		if r.issuer {
			r.rotate()
			r.after = r.before
		}
		if line := r.Reload(r.t, r.after); !strings.Contains(line, "read again") {
			r.t.Fatal(line)
		}
	}
	if r.issuer && r.admin == nil { // the set is fetched after the reload
		harness.Eventually(r.t, "the issuer's key counts no more", func() bool {
			return slices.ContainsFunc(r.Log(), func(line string) bool { return strings.Contains(line, "rights were revoked") })
		})
	}
	method, target, _ := strings.Cut(r.call, " ")
	switch {
	case r.call == "":
	case strings.HasSuffix(target, "/"):
		for _, id := range r.ids {
			r.backend(method, target+id, "")
		}
	default:
		r.backend(method, target, "")
	}
}

// backend makes a call with the key that keeps its rights.
func (r *rightsTest) backend(method, target, body string) string {
	r.t.Helper()
	got := r.Broker.Call(r.t, method, target, body, "Authorization", "Bearer "+backendKey) // without keys it does not matter
	if got.Status != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", method, target, got.Status, got.Body)
	}
	return got.Body
}

// verdict returns an answer in the form of a cell.
func verdict(got harness.Answer) string {
	var p struct{ Code string }
	switch {
	case got.Status == http.StatusOK || got.Status == http.StatusSwitchingProtocols:
		return "good"
	case json.Unmarshal([]byte(got.Body), &p) != nil:
		return fmt.Sprint(got.Status, " ", got.Body)
	}
	return fmt.Sprint(got.Status, " ", p.Code)
}
