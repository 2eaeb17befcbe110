package config

import (
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// Publish publishes an event, or many.
type Publish struct {
	Topic   string  `arg:"" optional:"" default:"" form:"topic" help:"Topic to publish to."`
	Message *string `arg:"" optional:"" form:"token" help:"The message. Without it, or with -, it is read from stdin."`

	JSON      bool          `name:"json" help:"The message is JSON, not text."`
	Lines     bool          `help:"Publish each line of stdin as an event, as it comes."`
	File      string        `default:"" placeholder:"FILE" form:"file" help:"Publish the events of a file. Each line is an object with topic and message (NDJSON). - is stdin."`
	User      string        `default:"" placeholder:"NAME" form:"user" help:"Only this user's clients get the event."`
	ID        string        `default:"" placeholder:"ID" form:"id" help:"Id of the event. The broker makes one up unless it is given."`
	Key       string        `default:"" placeholder:"KEY" form:"idempotency-key" help:"Idempotency key, not an API key. The same publish with the same key has no effect again, within the broker's dedupe_window."`
	ExpiresIn time.Duration `default:"0s" range:"0s..8760h" placeholder:"DURATION" help:"How long the event is of use. 0s: as long as the broker retains it."`
	RetryFor  time.Duration `default:"15s" range:"0s..2m" placeholder:"DURATION" help:"How long to try again if there is no answer (${default}). A file is sent once."`

	Broker `embed:""`
}

// Subscribe prints events as they come.
type Subscribe struct {
	Topics Words `arg:"" form:"topics" help:"Topics and patterns."`

	After  string `default:"" placeholder:"CURSOR" form:"cursor" help:"Begin after this cursor."`
	Last   int    `default:"0" range:"0..1000" placeholder:"N" help:"Begin with the newest N events of each topic."`
	Format string `default:"auto" form:"auto|text|json" help:"text, json (one object a line), or auto: text on a terminal, else json."`
	Count  int    `default:"0" range:"0..1000000000" placeholder:"N" help:"End after N events. 0: never."`
	Cursor bool   `help:"At the end, print on stderr the cursor to resume from (--after)."`

	Broker `embed:""`
}

// Health checks the broker's health.
type Health struct {
	Ready bool `help:"Ask whether the broker takes events and clients."`
	Live  bool `help:"Ask only whether the broker works. If it does not, a restart may help."`

	Broker `embed:""`
}

// Version prints how the program was built.
type Version struct {
	JSON bool `name:"json" help:"Print a JSON object."`
}

// Top shows what a broker does.
type Top struct {
	Once     bool          `help:"Print the figures once. Without a terminal they are always printed once."`
	Interval time.Duration `default:"1s" range:"10ms..1h" placeholder:"DURATION" help:"Time between two readings (${default})."`

	Broker `embed:""`
}

// Bench measures a broker.
type Bench struct {
	Connections int           `default:"100" range:"1..50000" placeholder:"N" help:"Connections that receive events (${default})."`
	Topics      int           `default:"1" range:"1..10000" placeholder:"N" help:"Topics that the connections are spread over (${default})."`
	Rate        int           `default:"0" range:"0..1000000" placeholder:"N" help:"Events to publish a second. 0: as fast as --window permits."`
	Window      int           `default:"4" range:"1..10000" placeholder:"N" help:"Events that may be under way at a time, without --rate (${default})."`
	Size        int           `default:"128" range:"20..1048576" placeholder:"BYTES" help:"Size of a message in bytes (${default})."`
	Duration    time.Duration `default:"5s" range:"10ms..1h" placeholder:"DURATION" help:"How long to publish (${default})."`
	Transport   string        `default:"bare" form:"bare|v1|sse" help:"How the connections receive: bare (a WebSocket without a subprotocol), v1 (belfry.v1) or sse."`
	Publishers  int           `default:"2" range:"1..256" placeholder:"N" help:"Publishes that may be under way at a time (${default})."`
	JSON        bool          `name:"json" help:"Print a JSON object."`
	SVG         string        `name:"svg" default:"" placeholder:"FILE" form:"file" help:"Draw the distribution of latencies into this file."`

	Broker `embed:""`
}

// Help has examples, as kong asks for them.
func (Publish) Help() string {
	return `Prints the receipt, which says how many clients the event was for. A publish that gets no answer is tried again. The event is published once.

    belfry publish cats 'are awesome'
    belfry publish orders.eu.paid --json '{"order": 7}' --user 42
    tail -f app.log | belfry publish logs --lines
    belfry publish --file events.ndjson`
}

// Help has examples, as kong asks for them.
func (Subscribe) Help() string {
	return `Reconnects by itself and resumes where it was. A gap is reported on stderr. Ctrl-C ends it.

    belfry subscribe cats 'orders.*.paid'
    belfry subscribe 'orders.>' --last 10 --format json | jq .data
    belfry subscribe cats --after CURSOR --count 1 --cursor`
}

// Help has examples, as kong asks for them.
func (Health) Help() string {
	return `Exits with 0 if all is well, or else with 1.

    belfry health
    HEALTHCHECK CMD ["belfry", "health", "--ready"]`
}

// Help has examples, as kong asks for them.
func (Version) Help() string {
	return `
    belfry version
    belfry version --json`
}

// Help has examples, as kong asks for them.
func (Top) Help() string {
	return `Needs a key with the right admin if the broker has keys. If the broker has an admin_addr, the figures are there: use --url. Ctrl-C ends it.

    belfry top
    belfry top --url http://127.0.0.1:8001 --once`
}

// Help has examples, as kong asks for them.
func (Bench) Help() string {
	return `Publishes events to topics below belfry.bench and receives them. Don't aim it at a broker that others need.

    belfry bench --connections 1000 --rate 20
    belfry bench --connections 1000 --window 32 --publishers 4 --svg latency.svg`
}

// Words are arguments that are taken as they are: commas do not separate.
type Words []string

// words is the mapper of [Words].
type words struct{ *input }

// Decode makes words a kong.Mapper: it takes all remaining arguments.
func (in words) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	form := formOf(ctx.Value.Tag)
	var list Words
	for _, token := range ctx.Scan.PopWhile(kong.Token.IsValue) {
		text := token.String()
		if list = append(list, text); !form.is(text) {
			in.problem(ctx.Value.Name, "%s %.100q: want %s", ctx.Value.Name, text, form.want)
		}
	}
	target.Set(reflect.ValueOf(list))
	return nil
}

// verbatim is the mapper of a text that is taken as it is, with its white space.
type verbatim struct{ *input }

// Decode makes verbatim a kong.Mapper.
func (verbatim) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	text := ctx.Scan.Pop().String()
	target.Set(reflect.ValueOf(&text))
	return nil
}
