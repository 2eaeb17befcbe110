package checker_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"belfry/hub"
	"belfry/tests/harness"
)

// A subscriber that polls: GET /topics/{topic}/events, again and again.

// A look is an answer to a poll for the newest events only.
type look struct {
	last   int
	waited bool
	heard  []heard
}

// A poller is a subscriber's HTTP client.
type poller struct {
	*checked
	http    http.Client
	topic   string
	waiting sync.WaitGroup // for moments to give up a request
	looks   []look
}

func (s *checked) poll() error {
	transport := &http.Transport{TLSClientConfig: s.w.b.TLS.Clone()}
	p := &poller{checked: s, http: http.Client{Transport: transport, Timeout: harness.Patience}, topic: checkedTopics[s.random.IntN(endTopic)]}
	defer transport.CloseIdleConnections()
	defer p.waiting.Wait()
	s.have = []string{p.topic}
	s.session = &session{fresh: true, names: s.have}
	s.all = append(s.all, s.session)
	for s.cursor.Position < hub.Position(s.w.count) {
		select {
		case <-s.w.quit:
			return nil
		default:
		}
		if s.random.IntN(2) == 0 {
			s.w.wait(s.random.IntN(s.away()))
		}
		if err := p.round(); err != nil {
			return err
		}
	}
	s.over(s.session, true)
	s.looks = p.looks
	return nil
}

// round makes a request, which may be given up.
func (p *poller) round() error {
	query, last := "?after="+p.cursor.String(), 0
	switch {
	case p.random.IntN(10) == 0:
		last = 1 + p.random.IntN(10)
		query = "?last=" + strconv.Itoa(last)
	case p.cursor == hub.Cursor{}:
		query = "?"
	}
	wait := p.random.IntN(2) == 0
	if wait {
		query += "&wait=300ms"
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	given := p.random.IntN(5) == 0
	if given {
		count := p.random.IntN(200)
		p.waiting.Go(func() { p.w.wait(count); cancel() })
	}
	told, more, err := p.get(ctx, query)
	switch {
	case err != nil && given && ctx.Err() != nil:
		p.tally["polls given up"]++
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", query, err)
	case last > 0:
		p.looks = append(p.looks, look{last, wait, told})
		return nil
	}
	p.tally[p.kind.name]++
	if p.session.opened == 0 {
		p.session.opened = p.w.now()
	}
	for _, h := range told {
		if err := p.hear(p.session, h); err != nil {
			return err
		}
		if h.kind == hGap {
			p.tally["gaps of polls"]++
			p.cursor = h.detail.to
		}
	}
	if more {
		return p.round()
	}
	return nil
}

func (p *poller) get(ctx context.Context, query string) (told []heard, more bool, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", p.w.b.URL("http", "/topics/"+p.topic+"/events"+query), nil)
	if err != nil {
		return nil, false, err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer res.Body.Close()
	return readPage(res)
}

// judgeLook checks that an answer to a poll for the newest events has these.
func (s *checked) judgeLook(l look) error {
	end := l.heard[len(l.heard)-1]
	if end.kind == hGap && l.waited && s.w.plan.kept == 0 && s.w.plan.tight {
		return nil // what it waited for was gone before it could be answered
	}
	if end.kind != hCursor {
		return fmt.Errorf("%w: the newest %d end with kind %d", errHeard, l.last, end.kind)
	}
	j := newJudge(s, s.session)
	j.setSpans([]*span{{name: s.have[0]}})
	events := l.heard[:len(l.heard)-1]
	at := end.at.Position
	for i := len(events); i >= 0 && at > 0; at-- {
		switch {
		case !j.due(at):
		case i == 0 && (len(events) == l.last || s.w.plan.tight):
			return nil
		case i == 0:
			return fmt.Errorf("of the newest %d it got %d, and not %d", l.last, len(events), at)
		case s.w.positions[events[i-1].key] != at:
			return fmt.Errorf("of the newest %d it did not get %d", l.last, at)
		default:
			i--
		}
	}
	return nil
}
