package hostile_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"belfry/tests/harness"
)

// costly is a flood of the hub's most expensive commands. Each attacker asks for something
// allowed that is the worst of its kind.
var costly = flood{
	name: "what costs the hub most", flags: []string{"--history-age=3s", "--register-ttl=1s"}, large: []string{"--history-age=1m"},
	pause: 10 * time.Millisecond, few: 2 * len(costs), many: 20 * len(costs),
	do: func(a *attacker) error { return costs[a.index%len(costs)](a) },
}

// starred are as many patterns of 14 levels as a client may have, of those in which each
// level is a star or not.
func starred(from int) []string {
	patterns := make([]string, 120)
	for i := range patterns {
		levels := strings.Split(fmt.Sprintf("%014b", (from+i)%(1<<14)), "")
		patterns[i] = strings.NewReplacer("0", "a", "1", "*").Replace(strings.Join(levels, ".")) + ".x"
	}
	return patterns
}

func topicsQuery(patterns []string) string {
	return url.Values{"topic": patterns}.Encode()
}

// costs are the attackers' requests.
var costs = []func(a *attacker) error{
	func(a *attacker) error { // a list that is longer than any client may have
		names := make([]string, 10_000)
		for i := range names {
			names[i] = fmt.Sprintf(`"%x"`, i)
		}
		list := strings.Join(names, ",")
		return a.ask("/ws", `{"op":"subscribe","topics":[`+list+`]}`, `{"op":"unsubscribe","topics":[`+list+`]}`)
	},
	func(a *attacker) error { // the newest events of patterns that match none, and something at once
		return a.ask("/ws?last=1000&"+topicsQuery(starred(a.index)), `{"op":"ping"}`, `{"op":"subscribe","topics":["x"]}`)
	},
	func(a *attacker) error { // all that is lost and retained, for many patterns
		return a.ask("/ws?after="+a.beginning()+"&"+topicsQuery(starred(a.index)), `{"op":"ping"}`)
	},
	func(a *attacker) error { // the newest event of each topic, for somebody who reads nothing
		return a.ask("/ws?slow=latest&topic=%3E&after=" + a.beginning())
	},
	func(a *attacker) error { // many patterns that each level of a topic almost matches
		return a.ask("/ws?"+topicsQuery(starred(int(a.number.Add(120)))), `{"op":"ping"}`)
	},
	func(a *attacker) error { return a.post(harness.Event(strings.Repeat("a.", 14)+"y", "x")) },
	func(a *attacker) error { // a topic for each event
		events := make([]string, 100)
		for i := range events {
			events[i] = harness.Event(fmt.Sprint("t.", a.number.Add(1)), "x")
		}
		return a.post("[" + strings.Join(events, ",") + "]")
	},
	func(a *attacker) error { // a user whose clients come and go, with topics of their own
		names := make([]string, 100)
		for i := range names {
			names[i] = fmt.Sprintf(`"p.%d"`, a.number.Add(1))
		}
		res, err := a.http.Post("http://"+a.addr+"/register", "application/json", strings.NewReader(`{"user_id":"crowd","topics":[`+strings.Join(names, ",")+`]}`))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			return err
		}
		return a.ask(harness.JsonOf[harness.Registration](string(body)).Path, `{"op":"ping"}`)
	},
	func(a *attacker) error { return a.ask("/ws?topic=%24presence.%3E", `{"op":"ping"}`) },
}

// ask connects, sends something at once, and reads for a moment.
func (a *attacker) ask(path string, ops ...string) error {
	c, err := a.dial(4)
	if err != nil {
		return err
	}
	said := harness.V1Opening(path)
	for _, op := range ops {
		said += harness.Say(op)
	}
	if _, err := io.WriteString(c, said); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = io.CopyN(io.Discard, c, 10_000)
	return err
}

// beginning returns a cursor of the broker's log from before all events.
func (a *attacker) beginning() string {
	c, err := a.dial(4)
	if err != nil {
		return ""
	}
	defer c.Close()
	if _, err := io.WriteString(c, harness.V1Opening("/ws")); err != nil {
		return ""
	}
	const member = `"cursor":"`
	in := bufio.NewReader(c)
	for range 20 {
		line, err := in.ReadString(',')
		if _, cursor, found := strings.Cut(line, member); found && len(cursor) > 12 {
			return cursor[:12] + "000000000000"
		}
		if err != nil {
			break
		}
	}
	return ""
}
