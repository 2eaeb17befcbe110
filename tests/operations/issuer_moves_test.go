package operations_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// When an issuer moves, the holders of its tokens keep their rights, even before the keys
// at the new address are fetched.
func TestIssuerMoves(t *testing.T) {
	t.Parallel()
	first, private := harness.NewIssuer(t)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound) // where nobody is
	}))
	t.Cleanup(func() {
		slow.CloseClientConnections() // one may be asked still
		slow.Close()
	})
	at := func(url string) string { return "jwt: {jwks_url: \"" + url + "\"}\n" }
	b := harness.StartKeyed(t, at(first))
	made, failed := harness.Command("token", "create", "--private-key="+private, "--key-id=a", "--user=7", "--subscribe=cats", "--publish=cats")
	token := strings.TrimSpace(made)
	if failed != 0 {
		t.Fatal(made)
	}
	w := b.Subscriber(t, token, "cats")
	stays := func(where string) {
		t.Helper()
		w.Send(t, harness.Say(`{"op":"publish","topic":"cats","data":1}`))
		for _, want := range []string{"event", "ack"} {
			if m := w.V1(t); m.Type != want {
				t.Fatalf("%s: %+v, want an %s", where, m, want)
			}
		}
	}
	stays("at first")

	b.Reload(t, at(slow.URL))
	<-asked
	stays("while the new address is asked")
	close(answer)
	harness.Eventually(t, "the fetch fails", func() bool { return strings.Contains(strings.Join(b.Log(), "\n"), "cannot fetch the keys for tokens") })
	stays("when the new address has no keys")

	b.Reload(t, at(first+"/moved"))
	if status, answer := b.Ask(t, token, "GET", "/topics/cats/events", ""); status != http.StatusOK { // it has been fetched then
		t.Fatal(status, answer)
	}
	stays("when the same keys are elsewhere")

	other, _ := harness.NewIssuer(t)
	b.Reload(t, at(other))
	w.Farewell(t, 4002, "revoked")
}
