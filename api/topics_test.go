package api_test

import (
	"net/url"
	"testing"
)

func TestAddAndRemoveTopic(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	id := b.register(`{"user_id":1,"topics":[]}`)
	body := `{"client_id":"` + id + `","topic":"a.*"}`
	query := "?" + url.Values{"client_id": {id}, "topic": {"a.*"}}.Encode()
	for _, c := range []struct {
		query, body string
		header      []string
	}{
		{"", body, nil},
		{query, "", nil},
		{query, " \n", []string{"Content-Type", "application/json"}},
		{query, body, nil},
		{query + "&topic=a.*", "", nil},
		{"?topic=a.*", `{"client_id":"` + id + `"}`, nil},
		{"?client_id=" + id, `{"topic":"a.*"}`, nil},
		{query + "&utm_source=x", "", nil},
	} {
		for _, step := range []struct {
			method, path, want string
			matched            int
		}{
			{"POST", "/add_topic", "subscribed to a.*\n", 1},
			{"POST", "/add_topic", "subscribed to a.*\n", 1},
			{"DELETE", "/remove_topic", "unsubscribed from a.*\n", 0},
			{"DELETE", "/remove_topic", "unsubscribed from a.*\n", 0},
		} {
			w := b.call(step.method, step.path+c.query, c.body, c.header...)
			if w.Code != 200 || w.Body.String() != step.want || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Fatalf("%s%s %s: %d %s", step.path, c.query, c.body, w.Code, w.Body)
			}
			var got receipt
			b.answer(b.call("POST", "/publish", `{"topic":"a.b","message":1}`), &got)
			if got.Matched != step.matched {
				t.Fatalf("%s%s %s: an event matched %d", step.path, c.query, c.body, got.Matched)
			}
		}
	}
}
