package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"nhooyr.io/websocket"

	"belfry/client"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// broker starts something that says to each client what a broker would. For
// "" it waits until the client says something.
func broker(messages ...string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"belfry.v1"}})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for _, m := range messages {
			if m == "" {
				_, _, err = conn.Read(r.Context())
			} else {
				err = conn.Write(r.Context(), websocket.MessageText, []byte(m))
			}
			if err != nil {
				return
			}
		}
		for {
			if _, _, err := conn.Read(r.Context()); err != nil {
				return
			}
		}
	}))
}

// The messages of a subscriber that is interested in events, and in what it
// has missed.
func Example() {
	server := broker(
		`{"type":"welcome","handle":"5f1d","topics":["orders.*"],"cursor":"01a1fc0b336a000000000005","heartbeat_ms":15000,"limits":{}}`,
		`{"type":"gap","topics":["orders.*"],"from":"01a1fc0b336a000000000005","to":"01a1fc0b336a000000000007","reason":"expired"}`,
		`{"type":"event","topic":"orders.eu","id":"0199c0de","time":"2026-11-21T03:09:16.25Z","data":{"n":8},"cursor":"01a1fc0b336a000000000008"}`,
	)
	defer server.Close()

	c := client.New(server.URL+"/ws?topic=orders.*", nil)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		m, err := c.Next(ctx)
		if err != nil {
			log.Print(err)
			return
		}
		switch m := m.(type) {
		case *client.Connected:
			fmt.Println("connected, with", m.Topics)
		case *client.Disconnected:
			fmt.Println("disconnected:", m.Err)
		case *client.Gap:
			fmt.Println("lost some of", m.Topics)
		case *client.Event:
			fmt.Printf("%s: %s\n", m.Topic, m.Data)
			fmt.Println("to be stored:", m.Cursor)
			return
		}
	}
	// Output:
	// connected, with [orders.*]
	// lost some of [orders.*]
	// orders.eu: {"n":8}
	// to be stored: 01a1fc0b336a000000000008
}

// A client that gets its tokens from an issuer.
func ExampleOptions_token() {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "header.claims.signature")
	}))
	defer issuer.Close()
	server := broker(`{"type":"welcome","handle":"5f1d","topics":["orders.7.>"],"cursor":"01a1fc0b336a000000000005","heartbeat_ms":15000,"limits":{}}`)
	defer server.Close()
	token := func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer.URL, nil)
		if err != nil {
			return "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return "", fmt.Errorf("no token: %s", response.Status) // it is asked for again, later
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, 8<<10))
		return string(text), err
	}

	c := client.New(server.URL+"/ws?topic=orders.7.>", &client.Options{Token: token})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := c.Next(ctx)
	if err != nil {
		log.Print(err)
		return
	}
	if m, ok := m.(*client.Connected); ok {
		fmt.Println("connected, with", m.Topics)
	}
	// Output:
	// connected, with [orders.7.>]
}

// A subscription with a replay, on a client that gets a new URL when its
// registration has ended.
func ExampleNewFunc() {
	server := broker(
		`{"type":"welcome","handle":"5f1d","user_id":"1","topics":[],"cursor":"01a1fc0b336a000000000009","heartbeat_ms":15000,"limits":{}}`,
		"",
		`{"type":"ack","ref":1,"cursor":"01a1fc0b336a000000000009"}`,
		`{"type":"event","topic":"orders.eu","id":"0199c0de","time":"2026-11-21T03:09:16.25Z","data":"eight","replay":true}`,
		`{"type":"live","ref":1,"cursor":"01a1fc0b336a000000000009"}`,
	)
	defer server.Close()
	register := func(context.Context) (string, error) {
		return server.URL + "/ws/119e98df01e0481291f1dfa3446b31d9", nil // ask the backend for it
	}

	c := client.NewFunc(register, nil)
	defer c.Close()
	orders, err := c.Subscribe(client.Subscription{Topics: []string{"orders.>"}, After: "01a1fc0b336a000000000007"})
	if err != nil {
		log.Print(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		m, err := c.Next(ctx)
		if err != nil {
			log.Print(err)
			return
		}
		switch m := m.(type) {
		case *client.Refused:
			fmt.Println(m, errors.Is(m, client.TooManyTopics))
			return
		case *client.Ack:
			fmt.Println(m.Request, "is done")
		case *client.Event:
			fmt.Printf("%s: %s, a replay: %t\n", m.Topic, m.Data, m.Replay == orders)
		case *client.Live:
			fmt.Println(m.Request, "has caught up")
			return
		}
	}
	// Output:
	// Subscribe(orders.>) is done
	// orders.eu: "eight", a replay: true
	// Subscribe(orders.>) has caught up
}
