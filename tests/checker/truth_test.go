package checker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"belfry/hub"
	"belfry/tests/harness"
)

// What the checker publishes, and in what order the broker has taken it.

const (
	checkPublishers = 4
	checkBatch      = 8 // most events that a publisher has under way
	// inFlight is how far the log's head may be beyond the highest cursor that
	// a receipt has told.
	inFlight = hub.Position(checkPublishers*checkBatch + 1)

	checkUsers = 8  // that events are directed to
	endTopic   = 50 // has an event now and then when all others are published
)

// checkedTopics are the names of the topics, by number.
var checkedTopics = func() (names [endTopic + 1]string) {
	for i := range endTopic {
		names[i] = fmt.Sprintf("t.%d.%d", i/10, i%10)
	}
	names[endTopic] = "end"
	return names
}()

// A post is one published event.
type post struct {
	topic int8
	user  int8 // 0: for everybody
	size  int32
}

// truth is what was published. Events are known by keys, which they hold.
type truth struct {
	epoch atomic.Uint64
	high  atomic.Uint64 // the highest position in a receipt so far
	next  atomic.Int64  // the last key in use
	count int

	mu      sync.Mutex
	waiting []waiter
	hurried bool // nobody waits any more

	// By key; each is written by one publisher, and read when all have ended.
	posts     []post
	positions []hub.Position
	keys      []int32 // by position
}

type waiter struct {
	until hub.Position
	ready chan struct{}
}

func newTruth(count int) *truth {
	const ends = 100_000
	return &truth{count: count, posts: make([]post, count+ends), positions: make([]hub.Position, count+ends)}
}

// now returns the highest position that is known to be in use.
func (tr *truth) now() hub.Position { return hub.Position(tr.high.Load()) }

// wait waits until so many more events are published.
func (tr *truth) wait(count int) {
	tr.mu.Lock()
	if tr.hurried || count == 0 {
		tr.mu.Unlock()
		return
	}
	ready := make(chan struct{})
	tr.waiting = append(tr.waiting, waiter{tr.now() + hub.Position(count), ready})
	tr.mu.Unlock()
	<-ready
}

// hurry ends all waits, for good.
func (tr *truth) hurry() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.hurried = true
	tr.wake(math.MaxUint64)
}

func (tr *truth) wake(at hub.Position) {
	tr.waiting = slices.DeleteFunc(tr.waiting, func(w waiter) bool {
		if w.until <= at {
			close(w.ready)
		}
		return w.until <= at
	})
}

// take takes note of a receipt.
func (tr *truth) take(key int, r harness.Receipt) error {
	at, ok := hub.ParseCursor(r.Cursor)
	if !ok || r.Topic != checkedTopics[tr.posts[key].topic] {
		return fmt.Errorf("the receipt of event %d is %+v", key, r)
	}
	if !tr.epoch.CompareAndSwap(0, at.Epoch) && tr.epoch.Load() != at.Epoch {
		return fmt.Errorf("the receipt of event %d is of another log: %+v", key, r)
	}
	tr.positions[key] = at.Position
	for high := tr.high.Load(); high < uint64(at.Position) && !tr.high.CompareAndSwap(high, uint64(at.Position)); {
		high = tr.high.Load()
	}
	return nil
}

// seal makes the index by position. Every position must be one event's.
func (tr *truth) seal() {
	tr.keys = make([]int32, tr.now()+1)
	for key, at := range tr.positions {
		if at > 0 {
			tr.keys[at] = int32(key)
		}
	}
}

// at returns the event at a position.
func (tr *truth) at(p hub.Position) post { return tr.posts[tr.keys[p]] }

// A mouth publishes over one connection, several requests at a time.
type mouth struct {
	net.Conn
	in *bufio.Reader
}

func newMouth(b *harness.Broker) (*mouth, error) {
	conn, err := net.Dial("tcp", b.Addr)
	if err != nil {
		return nil, err
	}
	conn = b.Secured(conn)
	return &mouth{conn, bufio.NewReader(conn)}, nil
}

// publish publishes its share of the events.
func (tr *truth) publish(b *harness.Broker, random *rand.Rand) error {
	m, err := newMouth(b)
	if err != nil {
		return err
	}
	defer m.Close()
	for {
		var keys []int
		for range 1 + random.IntN(checkBatch) {
			key := int(tr.next.Add(1))
			if key > tr.count {
				break
			}
			p := &tr.posts[key]
			p.topic, p.size = int8(random.IntN(endTopic)), int32(random.IntN(100))
			if random.IntN(20) == 0 {
				p.size = 3000
			}
			if random.IntN(5) == 0 {
				p.user = int8(1 + random.IntN(checkUsers))
			}
			keys = append(keys, key)
		}
		if len(keys) == 0 {
			return nil
		}
		if err := tr.send(m, keys); err != nil {
			return err
		}
	}
}

// send publishes events and takes note of their receipts.
func (tr *truth) send(m *mouth, keys []int) error {
	var requests strings.Builder
	for _, key := range keys {
		p := tr.posts[key]
		user := ""
		if p.user > 0 {
			user = `"user_id":"` + userName(int(p.user)) + `",`
		}
		body := fmt.Sprintf(`{"topic":%q,%s"message":"%d %d %d %s"}`, checkedTopics[p.topic], user, key, p.topic, p.user, strings.Repeat("x", int(p.size)))
		fmt.Fprintf(&requests, "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	if err := m.SetDeadline(time.Now().Add(3 * harness.Patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(m, requests.String()); err != nil {
		return err
	}
	for _, key := range keys {
		res, err := http.ReadResponse(m.in, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(res.Body)
		var r harness.Receipt
		if err == nil {
			err = json.Unmarshal(body, &r)
		}
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("event %d was answered %d %s (%v)", key, res.StatusCode, body, err)
		}
		if err := tr.take(key, r); err != nil {
			return err
		}
	}
	tr.mu.Lock()
	tr.wake(tr.now())
	tr.mu.Unlock()
	return nil
}

// publishEnds publishes an event to the last topic again and again, so that
// everybody gets one however late it is.
func (tr *truth) publishEnds(b *harness.Broker, left <-chan struct{}) error {
	m, err := newMouth(b)
	if err != nil {
		return err
	}
	defer m.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for key := tr.count + 1; key < len(tr.posts); key++ {
		tr.posts[key] = post{topic: endTopic}
		if err := tr.send(m, []int{key}); err != nil {
			return err
		}
		select {
		case <-left:
			return nil
		case <-tick.C:
		}
	}
	return fmt.Errorf("the subscribers do not come to an end")
}

func userName(number int) string { return "u" + strconv.Itoa(number) }

// readPost reads what an event holds.
func readPost(message string) (key int32, p post, err error) {
	fields := strings.SplitN(message, " ", 4)
	if len(fields) != 4 || fields[3] != strings.Repeat("x", len(fields[3])) {
		return 0, p, fmt.Errorf("%.100q is not what was published", message)
	}
	var numbers [3]int
	for i := range numbers {
		if numbers[i], err = strconv.Atoi(fields[i]); err != nil {
			return 0, p, err
		}
	}
	return int32(numbers[0]), post{int8(numbers[1]), int8(numbers[2]), int32(len(fields[3]))}, nil
}

// admits reports whether a subscription covers a topic. It is written apart
// from the broker's own matching.
func admits(subscription, topic string) bool {
	want, have := strings.Split(subscription, "."), strings.Split(topic, ".")
	for i, level := range want {
		if level == ">" {
			return len(have) > i
		}
		if i >= len(have) || level != "*" && level != have[i] {
			return false
		}
	}
	return len(want) == len(have)
}
