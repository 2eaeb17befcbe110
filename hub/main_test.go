package hub

import (
	"encoding/json"
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The same sequences in every run; -rapid.seed=0 looks for new ones. Each of the 4
	// worlds of TestModel gets so many.
	for name, value := range map[string]string{"rapid.checks": sequences, "rapid.steps": "40", "rapid.seed": "1", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// epoch is when every test begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testOptions are the defaults of the broker with room for little. Encoding 0
// is the bare message, the others put their number in front of it.
func testOptions() Options {
	return Options{
		Epoch:          1,
		Encoders:       testEncoders(encodeTest),
		EncodePresence: encodePresence,
		Limits:         Limits{MaxClients: 100, MaxConnections: 100, MaxSubscriptions: 128},
		RegisterTTL:    10 * time.Minute,
		ResumeWindow:   30 * time.Second,
		HistoryEvents:  100,
		HistoryAge:     10 * time.Minute,
		HistoryBytes:   64 << 20,
		Couriers:       1,
		Backlog:        1000,
		BacklogBytes:   1 << 20,
		Queue:          16,
		PublishTimeout: time.Second,
	}
}

// A change is a [PresenceChange] as tests write it.
type change struct {
	Change string `json:"change"` // "join" or "leave"
	Topic  string `json:"topic"`
	User   string `json:"user_id"`
}

func encodePresence(c PresenceChange) []byte {
	what := "leave"
	if c.Joins {
		what = "join"
	}
	text, err := json.Marshal(change{what, c.Topic, c.User})
	if err != nil {
		panic(err) // of strings it can
	}
	return text
}

// testEncodings is how many encodings there are in tests.
const testEncodings = 8

// testEncoders are encoders by one function that is told the encoding.
func testEncoders(encode func(Encoding, *Event, Cursor) []byte) []Encoder {
	all := make([]Encoder, testEncodings)
	for i := range all {
		all[i] = func(ev *Event, at Cursor) []byte { return encode(Encoding(i), ev, at) }
	}
	return all
}

func encodeTest(enc Encoding, ev *Event, _ Cursor) []byte {
	if enc == 0 {
		return ev.Message
	}
	return append([]byte{'0' + byte(enc), ':'}, ev.Message...)
}

// testID returns an ID that can be told from its name.
func testID(name string) (id ID) {
	copy(id[:], name)
	return id
}

// history reads a part of a topic's history, in as many steps as that takes.
func history(s *State, topic string, from From) (page Page, err error) {
	q := SearchHistory(topic, from)
	for done := false; !done; {
		page, done, err = s.History(q)
	}
	return page, err
}
