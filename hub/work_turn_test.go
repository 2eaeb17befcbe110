package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A busyHub is a hub that has all kinds of work at once.
type busyHub struct {
	*testHub
	grant *Grant // of its users, who are watched
}

const (
	busyEvents = 1000 // that are read
	busyCrowd  = 500  // clients, users and polls, of each so many
)

func newBusyHub(t *testing.T) *busyHub {
	opts := testOptions()
	opts.MaxClients, opts.MaxConnections = 1<<20, 1<<20
	opts.HistoryEvents, opts.Backlog, opts.BacklogBytes = 1<<20, 1<<30, 1<<40
	h := &busyHub{run(t, opts), &Grant{Subscribe: []string{">"}, Holder: "revoked"}}
	h.publishAll(busyEvents, deep+"event")
	for i := range busyCrowd {
		conn := &Conn{Owner: "crowd"}
		h.ok(h.Connect(Registration{ID: number(i), Topics: []string{"all"}}, conn, From{}))
		r := Registration{ID: number(busyCrowd + i), User: fmt.Sprint("u", i), Grant: h.grant}
		for n := range 5 {
			r.Topics = append(r.Topics, fmt.Sprint("room", n))
		}
		h.ok(h.Connect(r, &Conn{Owner: "user"}, From{}))
	}
	h.ok(h.Connect(Registration{ID: testID("watcher"), Topics: []string{PresenceTopic + ">"}}, &Conn{Owner: "watcher"}, From{}))
	return h
}

func (h *busyHub) publishAll(n int, topic string) {
	p := Publication{Events: make([]Event, n)}
	for i := range p.Events {
		p.Events[i] = Event{ID: "id", Topic: topic, Time: time.Now()}
	}
	_, err := h.PublishAll(context.Background(), p)
	h.ok(err)
}

// What takes a while shares the turns of the hub, however much of it there is, and all
// of it comes to its end. Only a piece that can't be divided comes on top of a step;
// those of this test are small.
func TestTurnIsOneStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newBusyHub(t)
		var done sync.WaitGroup
		for range busyCrowd {
			done.Go(func() {
				page, err := h.History(t.Context(), "polled", From{})
				if h.ok(err); len(page.Events) == 0 {
					t.Error("a poll ends without an event")
				}
			})
		}
		synctest.Wait() // they wait
		before, err := h.Stats()
		h.ok(err)
		for i := range 3 {
			conn := &Conn{Owner: "reader", Notes: true}
			h.ok(h.Connect(Registration{ID: testID(fmt.Sprint("reader", i)), Topics: manyPatterns("no")}, conn, From{After: &Cursor{1, 0}}))
		}
		done.Go(func() { h.publishAll(1000, "all") })
		done.Go(func() { h.publishAll(1, "polled") })
		done.Go(func() {
			ended, err := h.Regrant(func(g *Grant) *Grant { return nil })
			if h.ok(err); ended != busyCrowd {
				t.Errorf("%d clients ended", ended)
			}
		})
		done.Wait()
		synctest.Wait()
		after, err := h.Stats()
		h.ok(err)
		const told = 1000 + 1 + 5*busyCrowd // of what was published, and of who left where
		if n := after.Published - before.Published; n != told || after.Reading != 0 || after.Polls != 0 {
			t.Errorf("%d events instead of %d; %+v", n, told, after)
		}
		if n := after.LongestTurn; n < stepWork || n > stepWork+5000 {
			t.Errorf("a turn of %d comparisons, want at most a step of %d and something small", n, stepWork)
		}
	})
}

// A reader gets on wherever the work of a turn ends: also where that is between finding out
// which events it wants, or has lost, and looking at the first of them.
func TestTurnEndsBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()
	for step := range uint64(300) {
		for _, from := range []From{{Last: MaxLast}, {After: &Cursor{Epoch: 1}}} {
			opts := testOptions()
			opts.HistoryEvents = 5
			s := NewState(opts)
			s.step = step + 1
			s.Tick(epoch)
			for range 8 { // the oldest are lost
				mustPublish(t, s, "a.b")
			}
			s.Turn()
			conn := &Conn{Notes: true}
			s.Connect(Registration{ID: testID("reader"), Topics: []string{">", "a.*", "c"}}, conn, from)
			for n := 0; conn.client.mode != modeLive; n++ {
				if s.Turn(); n > 1000 {
					t.Fatalf("steps of %d: it never gets what there is", s.step)
				}
				s.Work()
				s.ChunkWritten(conn)
			}
			if got := s.Stats().Replayed; got != 5 {
				t.Errorf("steps of %d: it got %d events, want 5", s.step, got)
			}
		}
	}
}
