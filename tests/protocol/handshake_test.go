package protocol_test

import (
	"strings"
	"testing"

	"belfry/tests/harness"
)

// TestSubprotocolNames: a subprotocol is agreed on if its name is as it should be,
// and spoken then, only then. What the answer's header is called is spelled as in
// RFC 6455.
func TestSubprotocolNames(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for offer, want := range map[string]string{
		"": "", "belfry.v1": "belfry.v1", "Belfry.V1": "", "BELFRY.V1, belfry.v1": "belfry.v1", "x,belfry.v1": "belfry.v1",
		"cloudevents.json": "cloudevents.json", "CLOUDEVENTS.JSON": "", "cloudevents.json, belfry.v1": "belfry.v1", "cloudevents.json, Belfry.v1": "cloudevents.json",
	} {
		request := harness.Opening("/ws?topic=cats")
		if offer != "" {
			request = strings.Replace(request, "\r\n", "\r\nSec-WebSocket-Protocol: "+offer+"\r\n", 1)
		}
		w := b.Socket(t, request)
		head := readHead(t, w)
		if !strings.Contains(head, "\r\nSec-WebSocket-Accept: ") || strings.Contains(head, "Sec-Websocket") {
			t.Errorf("the answer is %q", head)
		}
		if _, got, _ := strings.Cut(head, "\r\nSec-WebSocket-Protocol: "); strings.TrimSpace(got) != want {
			t.Errorf("offered %q: got %q, want %q", offer, got, want)
		}
		b.Publish(t, harness.Event("cats", "meow"))
		told := map[string]string{"": "meow", "belfry.v1": `{"type":"welcome",`, "cloudevents.json": `{"specversion":"1.0",`}[want]
		if _, payload := w.Frame(t); !strings.HasPrefix(payload, told) {
			t.Errorf("offered %q: got %s", offer, payload)
		}
	}
}

// readHead returns the head of a 101 as it came.
func readHead(t *testing.T, w *harness.Wire) string {
	t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		c, err := w.Reread(t).ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, head.String())
		}
		head.WriteByte(c)
	}
	if want := "HTTP/1.1 101 Switching Protocols\r\n"; !strings.HasPrefix(head.String(), want) {
		t.Fatalf("the answer is %q", head.String())
	}
	return head.String()
}
