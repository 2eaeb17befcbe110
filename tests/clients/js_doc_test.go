package clients_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"belfry/tests/harness"
)

var jsExample = regexp.MustCompile("(?s)```js\n(.*?)```")

// jsExamples returns the examples of docs/javascript.md.
func jsExamples(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("docs/javascript.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range jsExample.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block[1])
	}
	return all
}

// testExamples runs those of docs/javascript.md, each in a page of its own.
func testExamples(t *testing.T, w *browser) {
	b := harness.Start(t, jsFlags...)
	keyed, secret := harness.WithTokens(t, jsFlags...)
	w.answer("/token", func() string {
		return harness.NewToken(t, secret, "--user=7", "--subscribe=prices.*", "--publish=prices.*")
	})
	w.answer("/ticket", func() string { return b.Register(t, `{"user_id":1,"topic":"titles"}`).URL })
	examples := jsExamples(t)
	b.Publish(t, harness.Event("orders.eu", "<b>early</b>"))
	open := func(n int, at *harness.Broker) *page {
		t.Helper()
		code := strings.ReplaceAll(examples[n], "127.0.0.1:8000", at.Addr)
		text := "<!doctype html><title>none</title><output id=prices.eu></output><button>go</button><script type=module>" + code + "\nwindow.client = client;</script>"
		w.answer("/example", func() string { return text })
		p := w.open(fmt.Sprint("example", n), "/example", nil)
		p.until("window.client?.state === 'live'")
		return p
	}
	steps := []func(n int){
		func(n int) {
			p := open(n, b)
			p.until(`document.querySelector('li')?.textContent === 'orders.eu: "<b>early</b>"'`)
			b.Publish(t, harness.Event("orders.us", "late"))
			p.until("document.querySelectorAll('li').length === 2")
		},
		func(n int) {
			p := open(n, b)
			b.Publish(t, harness.Event("titles", "told"))
			p.until("document.title === 'told'")
		},
		func(n int) {
			p := open(n, keyed)
			p.run("(async () => { while ((await client.publish('prices.eu', 12)).matched === 0); })()")
			p.until("document.querySelector('output').value === '12'")
		},
		func(n int) {
			p := open(n, b)
			p.until("document.querySelector('output').value === 'live'")
			harness.Eventually(t, "the subscription", func() bool { return b.Publish(t, harness.Event("news", "new")).Matched == 1 })
			p.until("document.querySelector('output').value === 'new'")
			p.run("document.querySelector('button').click()")
			p.until("document.querySelector('output').value === 'closed'")
		},
		func(n int) {
			p := open(n, b)
			p.run("document.querySelector('button').click()")
			p.until("document.querySelector('output').value === 'chat.lobby'")
		},
	}
	if len(steps) != len(examples) {
		t.Fatalf("there are %d examples, and tests of %d", len(examples), len(steps))
	}
	for n, step := range steps {
		step(n)
	}
}
