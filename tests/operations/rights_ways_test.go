package operations_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"belfry/tests/harness"
)

// The ways in of the table of rights. Each is begun while the rights exist, and must
// succeed. It returns a function that tries again after they are lost.
var waysIn = map[string]func(*rightsTest) func() string{
	"register":       holds("POST", "/register", `{"user_id":7,"topics":["a.x"]}`),
	"publish":        holds("POST", "/publish", harness.Event("a.x", "x")),
	"publish a list": holds("POST", "/publish", "["+harness.Event("a.x", "x")+","+harness.Event("a.y", "x")+"]"),
	"CloudEvent": holds("POST", "/publish", `{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"a.x","data":1}`,
		"Content-Type", "application/cloudevents+json"),
	"history":          holds("GET", "/topics/a.x/events", ""),
	"remove a user":    holds("DELETE", "/users/nobody/clients", ""),
	"operators' calls": holds("GET", "/clients", ""),
	"stream of lines":  func(r *rightsTest) func() string { return r.lines(r.Broker, r.as) },
	"long poll":        func(r *rightsTest) func() string { return r.poll(r.Broker, r.as) },

	"v1 publish":     operates("/ws?topic=b.x", `{"op":"publish","ref":1,"topic":"a.x","data":1}`),
	"v1 subscribe":   operates("/ws?topic=b.x", `{"op":"subscribe","ref":1,"topics":["b.y"]}`, `{"op":"subscribe","ref":1,"topics":["a.y"]}`),
	"v1 unsubscribe": operates("/ws?topic=b.x", `{"op":"unsubscribe","ref":1,"topics":["b.y"]}`),
	"v1 auth": func(r *rightsTest) func() string {
		return operates("/ws?topic=b.x", `{"op":"auth","ref":1,"token":"`+strings.TrimPrefix(r.as, "Bearer ")+`"}`)(r)
	},
	"v1 figures": operates("/ws?topic=$stats", `{"op":"subscribe","ref":1,"topics":["$stats","$presence.b.x"]}`),
	"v1 delivery": func(r *rightsTest) func() string {
		w := r.open(harness.V1Opening("/ws?topic=a.x"), r.as)
		w.AcceptedV1(r.t)
		return func() string { return r.delivered(w) }
	},
	"bare delivery": func(r *rightsTest) func() string {
		w := r.open(harness.Opening("/ws?topic=a.x"), r.as)
		w.Accepted(r.t)
		return func() string { return r.delivered(w) }
	},
	"CloudEvents ws": func(r *rightsTest) func() string {
		w := r.open(strings.Replace(harness.V1Opening("/ws?topic=a.x"), "belfry.v1", "cloudevents.json", 1), r.as)
		r.good("connect", head(w, r))
		return func() string { return r.delivered(w) }
	},
	"SSE delivery": func(r *rightsTest) func() string {
		return r.streamed(r.open(harness.EventRequest("/sse?topic=a.x"), r.as).Stream(r.t))
	},
	"SSE over HTTP/2": func(r *rightsTest) func() string {
		var header []string
		if r.as != "" {
			header = []string{"Authorization", r.as}
		}
		return r.streamed(r.StreamH2(r.t.Context(), r.t, r.H2(r.t), "/sse?topic=a.x", header...))
	},
	"connect":        connects(harness.Opening("/ws?topic=a.x")),
	"connect by SSE": connects("GET /sse?topic=a.x HTTP/1.1\r\nHost: localhost\r\n\r\n"),

	"ticket: delivery": func(r *rightsTest) func() string {
		w := r.open(harness.V1Opening("/ws/"+r.ticket()), "")
		w.AcceptedV1(r.t)
		return func() string { return r.delivered(w) }
	},
	"ticket: publish": func(r *rightsTest) func() string {
		return r.operate(r.open(harness.V1Opening("/ws/"+r.ticket()), ""), `{"op":"publish","ref":1,"topic":"a.x","data":1}`)
	},
	"ticket: subscribe": func(r *rightsTest) func() string {
		return r.operate(r.open(harness.V1Opening("/ws/"+r.ticket()), ""), `{"op":"subscribe","ref":1,"topics":["b.x"]}`)
	},
	"ticket: connect": func(r *rightsTest) func() string {
		id := r.ticket()
		return func() string { return head(r.open(harness.Opening("/ws/"+id), ""), r) }
	},
	"ticket: SSE": func(r *rightsTest) func() string {
		id := r.ticket()
		return func() string {
			return head(r.open("GET /sse/"+id+" HTTP/1.1\r\nHost: localhost\r\n\r\n", ""), r)
		}
	},
	"ticket: add_topic": tickets("POST", "/add_topic", `{"client_id":"ID","topic":"a.y"}`),
	"ticket: remove":    tickets("DELETE", "/remove_topic", `{"client_id":"ID","topic":"a.x"}`),
	"ticket: DELETE": func(r *rightsTest) func() string {
		id := r.ticket()
		return func() string {
			got := r.Broker.Call(r.t, "DELETE", "/register/"+id, "")
			if strings.Contains(got.Body, `"removed":false`) {
				return "not there"
			}
			return verdict(got)
		}
	},

	"admin_addr publish": func(r *rightsTest) func() string {
		return func() string { return verdict(r.admin.Call(r.t, "POST", "/publish", harness.Event("a.x", "x"))) }
	},
	"admin_addr calls": func(r *rightsTest) func() string {
		return func() string { return verdict(r.admin.Call(r.t, "GET", "/clients", "")) }
	},
	"admin_addr stream":  func(r *rightsTest) func() string { return r.lines(r.admin, "") },
	"admin_addr poll":    func(r *rightsTest) func() string { return r.poll(r.admin, "") },
	"admin_addr v1":      atAdmin("/ws?topic=b.x", `{"op":"publish","ref":1,"topic":"a.x","data":1}`),
	"admin_addr figures": atAdmin("/ws?topic=$stats", `{"op":"subscribe","ref":1,"topics":["$presence.b.x"]}`),
}

// holds makes the same complete call before and after.
func holds(method, target, body string, header ...string) func(*rightsTest) func() string {
	return func(r *rightsTest) func() string {
		ask := func() string {
			if r.as != "" {
				return verdict(r.Broker.Call(r.t, method, target, body, append(header, "Authorization", r.as)...))
			}
			return verdict(r.Broker.Call(r.t, method, target, body, header...))
		}
		r.good(target, ask())
		return ask
	}
}

func (r *rightsTest) good(what, got string) {
	r.t.Helper()
	if got != "good" {
		r.t.Fatalf("%s, while the rights are there: %s", what, got)
	}
}

// tickets makes a call that needs only a client's id.
func tickets(method, target, body string) func(*rightsTest) func() string {
	return func(r *rightsTest) func() string {
		id := r.ticket()
		return func() string {
			return verdict(r.Broker.Call(r.t, method, target, strings.Replace(body, "ID", id, 1)))
		}
	}
}

// ticket registers a client of user 7, by the caller that loses its rights if it may.
func (r *rightsTest) ticket() string {
	r.t.Helper()
	as := r.as
	if r.bearer == "token" {
		as = "Bearer " + backendKey
	}
	id := harness.Ask[harness.Registration](r.t, r.Broker, "POST", "/register", `{"user_id":7,"topics":["a.x"]}`, "Authorization", as).ClientID
	r.ids = append(r.ids, id)
	return id
}

// open opens a connection of the wire.
func (r *rightsTest) open(first, as string) *harness.Wire { return openAt(r, r.Broker, first, as) }

func openAt(r *rightsTest, b *harness.Broker, first, as string) *harness.Wire {
	r.t.Helper()
	if as != "" {
		first = strings.Replace(first, "\r\n", "\r\nAuthorization: "+as+"\r\n", 1)
	}
	return b.Socket(r.t, first)
}

// connects opens a connection before and after.
func connects(first string) func(*rightsTest) func() string {
	return func(r *rightsTest) func() string {
		ask := func() string { return head(r.open(first, r.as), r) }
		r.good("connect", ask())
		return ask
	}
}

// head reads an answer; it reads the body only of a problem.
func head(w *harness.Wire, r *rightsTest) string {
	r.t.Helper()
	res, err := http.ReadResponse(w.Reread(r.t), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode < 300 {
		return verdict(harness.Answer{Status: res.StatusCode})
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return verdict(harness.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body)})
}

// operates sends an operation over a connection of belfry.v1 before, and the last one
// after.
func operates(path string, ops ...string) func(*rightsTest) func() string {
	return func(r *rightsTest) func() string { return r.operate(r.open(harness.V1Opening(path), r.as), ops...) }
}

func atAdmin(path, op string) func(*rightsTest) func() string {
	return func(r *rightsTest) func() string {
		return r.operate(openAt(r, r.admin, harness.V1Opening(path), ""), op)
	}
}

func (r *rightsTest) operate(w *harness.Wire, ops ...string) func() string {
	r.t.Helper()
	w.AcceptedV1(r.t)
	do := func(op string) string {
		_, _ = io.WriteString(w, harness.Masked(harness.Final|harness.Text, op)) // a Close frame may have come
		return r.heard(w, `"ack"`)
	}
	r.good(ops[0], do(ops[0]))
	return func() string { return do(ops[len(ops)-1]) }
}

// heard reads messages up to one with the given type, an error or the end.
func (r *rightsTest) heard(w *harness.Wire, good string) string {
	r.t.Helper()
	for {
		op, payload := w.Frame(r.t)
		var m harness.V1Message
		switch {
		case op == harness.Closing:
			return fmt.Sprint(int(payload[0])<<8|int(payload[1]), " ", payload[2:])
		case op != harness.Text:
		case strings.Contains(payload, good):
			return "good"
		case json.Unmarshal([]byte(payload), &m) == nil && m.Type == "error":
			return m.Code
		}
	}
}

// tell publishes a new text.
func (r *rightsTest) tell(topic string) (text string) {
	r.t.Helper()
	r.told++
	text = fmt.Sprintf("news %d", r.told)
	r.backend("POST", "/publish", harness.Event(topic, text))
	return text
}

// delivered reports what a connection receives of an event.
func (r *rightsTest) delivered(w *harness.Wire) string {
	r.t.Helper()
	return r.heard(w, r.tell("a.x"))
}

// streamed reports what a stream of server-sent events receives of an event.
func (r *rightsTest) streamed(s *harness.Stream) func() string {
	return func() string {
		text := r.tell("a.x")
		for {
			ev, ok := s.Next()
			switch {
			case !ok:
				return "cut"
			case ev.Kind == "closing":
				return harness.JsonOf[harness.V1Message](ev.Data).Reason
			case strings.Contains(ev.Data, text):
				return "good"
			}
		}
	}
}

// lines begins a stream that has published one line.
func (r *rightsTest) lines(b *harness.Broker, as string) func() string {
	r.t.Helper()
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	w := openAt(r, b, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", as)
	topic := fmt.Sprintf("a.lines%p", w)
	w.Send(r.t, chunk(harness.Event(topic, "first")+"\n"))
	harness.Eventually(r.t, "the first line is published", func() bool {
		return strings.Contains(r.any("GET", "/topics/"+topic+"/events", ""), "first")
	})
	answered := r.await(w)
	return func() string {
		_, _ = io.WriteString(w, chunk(harness.Event(topic, "second")+"\n")+"0\r\n\r\n") // it may have ended
		got := <-answered
		var s struct {
			Accepted int
			Errors   []struct{ Code string }
		}
		switch err := json.Unmarshal([]byte(got.Body), &s); {
		case err != nil || got.Status != http.StatusOK:
			return verdict(got)
		case s.Accepted == 2 && len(s.Errors) == 0:
			return "good"
		case s.Accepted == 1 && len(s.Errors) == 1:
			return s.Errors[0].Code
		}
		return got.Body
	}
}

// poll starts to wait for an event.
func (r *rightsTest) poll(b *harness.Broker, as string) func() string {
	r.t.Helper()
	polls := func() int {
		var s struct{ Polls int }
		if err := json.Unmarshal([]byte(r.any("GET", "/stats", "")), &s); err != nil {
			r.t.Fatal(err)
		}
		return s.Polls
	}
	before := polls()
	w := openAt(r, b, "GET /topics/a.poll/events?wait=55s HTTP/1.1\r\nHost: localhost\r\n\r\n", as)
	harness.Eventually(r.t, "somebody waits", func() bool { return polls() > before })
	answered := r.await(w)
	return func() string {
		r.tell("a.poll")
		got := <-answered
		if got.Status == http.StatusOK && !strings.Contains(got.Body, "news") {
			return "nothing"
		}
		return verdict(got)
	}
}

// await reads an answer as soon as it comes.
func (r *rightsTest) await(w *harness.Wire) <-chan harness.Answer {
	answered := make(chan harness.Answer, 1)
	in := w.Reread(r.t)
	go func() { answered <- readAnswer(in) }()
	return answered
}

func readAnswer(in *bufio.Reader) harness.Answer {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return harness.Answer{Body: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return harness.Answer{Body: err.Error()}
	}
	return harness.Answer{Status: res.StatusCode, Header: res.Header, Body: string(body)}
}

// any makes a call of the backend, at the operators' address if there is one.
func (r *rightsTest) any(method, target, body string) string {
	r.t.Helper()
	if r.admin != nil {
		return r.admin.Call(r.t, method, target, body).Body
	}
	return r.backend(method, target, body)
}
