package client

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// beginnings are the parameters of a URL that say where to start.
var beginnings = []string{"last_event_id", "after", "last"}

const paramTopic = "topic"

// maxURL bounds the URLs that the client makes by adding topics, in bytes. Proxies
// commonly accept so much, with room for what they add.
const maxURL = 4 << 10

// An address is a URL with a query that can be changed. The unchanged parameters stay as
// they were written.
type address struct {
	url   *url.URL
	pairs []pair
}

// A pair is a parameter, as it was written and decoded.
type pair struct{ text, name, value string }

func parseAddress(raw string) (*address, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) || u.Host == "" {
		return nil, errURL
	}
	a := &address{url: u}
	for text := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(text, "=")
		if name, err = url.QueryUnescape(name); err != nil {
			return nil, err
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, err
		}
		if text != "" {
			a.pairs = append(a.pairs, pair{text, name, value})
		}
	}
	return a, nil
}

var errURL = errors.New("want one such as ws://host:8000/ws")

func (a *address) has(name, value string) bool {
	return slices.ContainsFunc(a.pairs, func(p pair) bool { return p.name == name && p.value == value })
}

func (a *address) add(name, value string) {
	a.pairs = append(a.pairs, pair{name + "=" + url.QueryEscape(value), name, value})
}

func (a *address) remove(match func(name, value string) bool) {
	a.pairs = slices.DeleteFunc(a.pairs, func(p pair) bool { return match(p.name, p.value) })
}

func (a *address) String() string {
	texts := make([]string, len(a.pairs))
	for i, p := range a.pairs {
		texts[i] = p.text
	}
	u := *a.url
	u.RawQuery = strings.Join(texts, "&")
	return u.String()
}

// begin sets where the connection starts: after a cursor, as the URL says, or with so many
// of the newest events.
func (a *address) begin(cursor string, last int) {
	if cursor != "" {
		a.remove(func(name, _ string) bool { return slices.Contains(beginnings, name) })
		a.add("after", cursor)
	} else if last != 0 && !slices.ContainsFunc(a.pairs, func(p pair) bool { return slices.Contains(beginnings, p.name) }) {
		a.add("last", strconv.Itoa(last))
	}
}

// subscribe changes the topics of the URL. It leaves out those that would make it too
// long.
func (a *address) subscribe(add, remove []string) {
	a.remove(func(name, value string) bool { return name == paramTopic && slices.Contains(remove, value) })
	length := len(a.String())
	for _, topic := range add {
		length += len("&topic=") + len(url.QueryEscape(topic))
		if length <= maxURL && !a.has(paramTopic, topic) {
			a.add(paramTopic, topic)
		}
	}
}
