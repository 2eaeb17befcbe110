package auth

import (
	"crypto/sha256"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"belfry/hub"
)

func newGuard(t *testing.T, opts Options) *Guard {
	t.Helper()
	g, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// code returns a denial's, "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	denial := new(Denial)
	if err == nil {
		return ""
	}
	if !errors.As(err, &denial) || !errors.Is(err, hub.ErrForbidden) || denial.Public() != denial.Code || denial.Detail == "" {
		t.Fatalf("%v is not a whole denial", err)
	}
	return denial.Code
}

func TestNobodyIsLetInByMistake(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Local: true}); err == nil {
		t.Error("a guard without keys, tokens and permission to be open")
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := func(name, text string, rights Right, topics ...string) Key {
		return Key{Name: name, SHA256: sha256.Sum256([]byte(text)), Rights: rights, Topics: topics}
	}
	g := newGuard(t, Options{Keys: []Key{
		key("backend", "bk_backend", Publish|Register, "orders.>"), key("viewer", "bk_viewer", Subscribe, "orders.*"), key("ops", "bk_ops", Admin, ">"),
	}})
	for text, want := range map[string]string{"bk_backend": "backend", "bk_viewer": "viewer", "bk_ops": "ops"} {
		if id, err := g.Check(text); err != nil || id.Name != want || id.User != "" || !id.Grant().Expires.IsZero() {
			t.Errorf("%s: %+v, %v", text, id, err)
		}
	}
	for _, text := range []string{"bk_", "bk_backend ", "BK_BACKEND", "backend", "x", "a.b.c", strings.Repeat("x", 1000)} {
		if _, err := g.Check(text); code(t, err) != "credentials_invalid" {
			t.Errorf("%s: %v", text, err)
		}
	}
	backend, _ := g.Check("bk_backend")
	viewer, _ := g.Check("bk_viewer")
	for name, row := range map[string]struct {
		err error
		ok  bool
	}{
		"publish":                    {backend.MayPublish("orders.1"), true},
		"publish elsewhere":          {backend.MayPublish("orders"), false},
		"publish without the right":  {viewer.MayPublish("orders.1"), false},
		"grant":                      {backend.MayGrant("orders.1", "orders.*.>"), true},
		"grant more":                 {backend.MayGrant("orders.1", ">"), false},
		"subscribe":                  {viewer.MaySubscribe("orders.*"), true},
		"subscribe to more":          {viewer.MaySubscribe("orders.>"), false},
		"subscribe without right":    {backend.MaySubscribe("orders.1"), false},
		"subscribe to nothing":       {viewer.MaySubscribe(), true},
		"administer without a right": {backend.Has(Admin), false},
	} {
		if got := code(t, row.err); (got == "") != row.ok || got != "" && got != "forbidden" {
			t.Errorf("%s: %v", name, row.err)
		}
	}
}

// Where a request may have its credentials.
func TestCredentials(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Options{Keys: []Key{{Name: "k", SHA256: sha256.Sum256([]byte("bk_x")), Rights: Publish, Topics: []string{">"}}}, Tokens: newTokens(t, nil)})
	token := sign(t, jwt.SigningMethodHS256, signers().secret, nil, good(m{"exp": maxDate}))
	for _, row := range []struct{ target, header, value, code string }{
		{"/", "Authorization", "Bearer bk_x", ""},
		{"/", "Authorization", "bearer  bk_x ", ""},
		{"/", "Authorization", "Bearer " + token, ""},
		{"/?access_token=bk_x", "", "", ""},
		{"/?access_token=" + token, "", "", ""},
		{"/?access_token=bk_x", "Authorization", "Bearer bk_x", ""},
		{"/", "Sec-WebSocket-Protocol", "belfry.v1, bearer." + token, ""},
		{"/", "Sec-WebSocket-Protocol", "bearer." + token, ""},
		{"/", "", "", "credentials_missing"},
		{"/", "Authorization", "Bearer", "credentials_missing"},
		{"/", "Authorization", "Bearer ", "credentials_missing"},
		{"/?access_token=", "", "", "credentials_missing"},
		{"/?Access_token=bk_x", "", "", "credentials_missing"},
		{"/", "Sec-WebSocket-Protocol", "belfry.v1", "credentials_missing"},
		{"/", "Cookie", "access_token=bk_x", "credentials_missing"},
		{"/", "Authorization", "Basic YmtfeDo=", "credentials_invalid"},
		{"/", "Authorization", "bk_x", "credentials_invalid"},
		{"/", "Authorization", "Bearer bk_y", "credentials_invalid"},
		{"/", "Authorization", "Bearer bk_x, Bearer bk_x", "credentials_invalid"},
		{"/?access_token=bk_y", "Authorization", "Bearer bk_x", "credentials_invalid"},
		{"/?access_token=bk_x&access_token=bk_y", "", "", "credentials_invalid"},
		{"/", "Authorization", "Bearer " + strings.Repeat("x", maxCredentials+1), "credentials_invalid"},
		{"/", "Authorization", "Bearer " + token + strings.Repeat("x", maxCredentials), "credentials_invalid"},
	} {
		r := httptest.NewRequest("GET", row.target, nil)
		if row.header != "" {
			r.Header.Set(row.header, row.value)
		}
		if _, err := g.Identify(r); code(t, err) != row.code {
			t.Errorf("%.40s %s: %.40s: %v, want %q", row.target, row.header, row.value, err, row.code)
		}
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Right{"": 0, "publish": Publish, "admin,register": Admin | Register, "subscribe,subscribe": Subscribe} {
		if got, err := ParseRights(strings.FieldsFunc(text, func(c rune) bool { return c == ',' })); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := ParseRights([]string{"publish", "fly"}); err == nil || !strings.Contains(err.Error(), "fly") {
		t.Errorf("%v", err)
	}
	if s := Admin.String() + Right(3).String(); s != "adminRight(3)" {
		t.Error(s)
	}
}

// A key is found by hashing once and comparing hashes, however many there are;
// nothing is allocated for it.
func BenchmarkCheck(b *testing.B) {
	keys := make([]Key, 100)
	for i := range keys {
		keys[i] = Key{SHA256: sha256.Sum256([]byte{byte(i)})}
	}
	g, err := New(Options{Keys: keys})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Check("\x40"); err != nil {
			b.Fatal(err)
		}
	}
}
