package client_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"belfry/client"
)

// TestPublisherOtherAnswers: an answer of success that has no receipt of each event is not the
// broker's. The event may be lost, so it is published again.
func TestPublisherOtherAnswers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `null`, `{"id":"x"}`, `{"cursor":""}`} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []func() (*http.Response, error){answerOf(200, text), taken}}
			p := client.NewPublisher("http://b/", &client.PublisherOptions{HTTPClient: &http.Client{Transport: s}})
			if receipt, err := p.Publish(t.Context(), client.Publication{Topic: "t"}, ""); err != nil || receipt.Cursor != "c" || len(s.keys) != 2 {
				t.Errorf("%s: %+v, %v after %d calls", text, receipt, err, len(s.keys))
			}
		})
	}
	const one = `{"id":"x","cursor":"c"}`
	for _, text := range []string{`[]`, `null`, `[` + one + `]`, `[` + one + `,{}]`, `[` + one + `,` + one + `,` + one + `]`} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []func() (*http.Response, error){answerOf(200, text), answerOf(200, `[`+one+`,`+one+`]`)}}
			p := client.NewPublisher("http://b/", &client.PublisherOptions{HTTPClient: &http.Client{Transport: s}})
			if receipts, err := p.PublishAll(t.Context(), make([]client.Publication, 2), ""); err != nil || len(receipts) != 2 || len(s.keys) != 2 {
				t.Errorf("%s: %+v, %v after %d calls", text, receipts, err, len(s.keys))
			}
		})
	}
}
