package protocol_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"belfry/config"
	"belfry/hub"
	"belfry/tests/harness"
)

// TestNamesEverywhere: what a name may hold is decided by one rule, wherever the name
// comes from.
func TestNamesEverywhere(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	w := b.WireV1(t, "/ws?topic=victim")
	quoted := func(name string) string {
		text, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	code := func(got harness.Answer) bool { return got.Status == http.StatusOK }
	flags := func(args ...string) bool {
		_, err := config.ParseCommand(args, nil, "", io.Discard, io.Discard)
		return err == nil
	}
	operation := func(members string) bool {
		w.Send(t, harness.Say(`{"op":"publish","data":1,`+members+`}`))
		return w.V1(t).Type == "ack"
	}
	n := 0
	cloud := func(attributes string) bool {
		n++
		body := fmt.Sprintf(`{"specversion":"1.0","source":"/x","data":1,"time":null,%s}`, attributes)
		return code(b.Call(t, "POST", "/publish", body, "Content-Type", "application/cloudevents+json"))
	}
	places := map[string]func(name string) bool{
		"a topic": func(name string) bool {
			return code(b.Call(t, "POST", "/publish", `{"topic":`+quoted(name)+`,"message":1}`))
		},
		"a topic of a registration": func(name string) bool {
			return code(b.Call(t, "POST", "/register", `{"user_id":1,"topic":`+quoted(name)+`}`))
		},
		"a topic of a path": func(name string) bool { return code(b.Call(t, "GET", "/topics/"+url.PathEscape(name)+"/events", "")) },
		"a user":            func(name string) bool { return code(b.Call(t, "POST", "/register", `{"user_id":`+quoted(name)+`}`)) },
		"a user of an event": func(name string) bool {
			return code(b.Call(t, "POST", "/publish", `{"topic":"a","message":1,"user_id":`+quoted(name)+`}`))
		},
		"an id": func(name string) bool {
			return code(b.Call(t, "POST", "/publish", `{"topic":"a","message":1,"id":`+quoted(name)+`}`))
		},
		"belfry.v1, a topic":   func(name string) bool { return operation(`"topic":` + quoted(name)) },
		"belfry.v1, a user":    func(name string) bool { return operation(`"topic":"a","user_id":` + quoted(name)) },
		"belfry.v1, an id":     func(name string) bool { return operation(`"topic":"a","id":` + quoted(name)) },
		"a CloudEvent, its id": func(name string) bool { return cloud(`"type":"x","subject":"a","id":` + quoted(name)) },
		"a CloudEvent, its type": func(name string) bool {
			return cloud(fmt.Sprintf(`"id":"type%d","subject":"a","type":%s`, n, quoted(name)))
		},
		"a CloudEvent, its topic": func(name string) bool {
			return cloud(fmt.Sprintf(`"id":"topic%d","type":"x","subject":%s`, n, quoted(name)))
		},
		"a CloudEvent, its user": func(name string) bool {
			return cloud(fmt.Sprintf(`"id":"user%d","type":"x","subject":"a","belfryuser":%s`, n, quoted(name)))
		},
		"the command line, a topic": func(name string) bool { return flags("publish", name, "1") },
		"the command line, a user":  func(name string) bool { return flags("publish", "a", "1", "--user="+name) },
		"the command line, an id":   func(name string) bool { return flags("publish", "a", "1", "--id="+name) },
		"the settings, a topic":     func(name string) bool { return flags("serve", "--default-topics="+name) },
		"the settings, a type":      func(name string) bool { return flags("serve", "--cloudevents-type="+name) },
		"the settings, an issuer":   func(name string) bool { return flags("serve", "--jwt-issuer="+name) },
		"the settings, an audience": func(name string) bool { return flags("serve", "--jwt-audience="+name) },
	}
	for _, r := range "aé👩\u0009\u000a\u001f\u007f\u0085\u009f\u00a0\u00ad\u061b\u061c\u200d\u200e\u200f\u2010\u2027\u2028\u2029\u202a\u202e\u202f\u2065\u2066\u2069\u206a\ufeff" {
		name := "a" + string(r) + "b"
		for place, takes := range places {
			if takes(name) != hub.IsName(name) {
				t.Errorf("%s takes %+q: %t", place, name, !hub.IsName(name))
			}
		}
	}
}
