package client

import (
	"context"
	"sync"
)

// A queue holds received messages until Next returns them, bounded in bytes. A caller of
// put waits until there is room. So a slow application slows down the connection.
type queue struct {
	limit int           // in bytes; static
	ready chan struct{} // of capacity 1: there is something to get
	room  chan struct{} // of capacity 1: there is room to put
	done  chan struct{} // closed by end

	mu     sync.Mutex
	items  []item
	bytes  int
	cursor string // after the last message that was got
	err    error  // the reason for the end
}

// An item is a message, and the resume point once it is handled.
type item struct {
	message Message
	cursor  string
}

func newQueue(limit int, cursor string) *queue {
	return &queue{
		limit: limit, cursor: cursor,
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// signal wakes one waiting goroutine, now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put waits for room. It reports false if the queue has ended.
func (q *queue) put(m Message, cursor string) bool { return q.add(m, &cursor) }

// slip is put for a message that does not move the resume point.
func (q *queue) slip(m Message) bool { return q.add(m, nil) }

func (q *queue) add(m Message, cursor *string) bool {
	for {
		q.mu.Lock()
		if q.err != nil {
			q.mu.Unlock()
			return false
		}
		if len(q.items) == 0 || q.bytes+m.size() <= q.limit {
			if cursor == nil {
				last := q.last()
				cursor = &last
			}
			q.items = append(q.items, item{m, *cursor})
			if q.bytes += m.size(); q.bytes < q.limit {
				signal(q.room) // for another waiter
			}
			signal(q.ready)
			q.mu.Unlock()
			return true
		}
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-q.done:
		}
	}
}

// last returns the resume point after everything in the queue. The caller holds the lock.
func (q *queue) last() string {
	if n := len(q.items); n > 0 {
		return q.items[n-1].cursor
	}
	return q.cursor
}

// advance moves the resume point after everything in the queue.
func (q *queue) advance(cursor string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.items); n > 0 {
		q.items[n-1].cursor = cursor
	} else {
		q.cursor = cursor
	}
}

// get waits for a message. At the end of a queue that has ended it fails with the reason.
func (q *queue) get(ctx context.Context) (Message, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q.mu.Lock()
		if len(q.items) > 0 {
			m := q.pop()
			q.mu.Unlock()
			return m, nil
		}
		err := q.err
		q.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-q.ready:
		case <-q.done:
		case <-ctx.Done():
		}
	}
}

// pop removes the first item. The caller holds the lock.
func (q *queue) pop() Message {
	first := q.items[0]
	q.items[0] = item{}
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil // release the array
	} else {
		signal(q.ready) // for another waiter
	}
	q.bytes -= first.message.size()
	q.cursor = first.cursor
	signal(q.room)
	return first.message
}

// end stops the queue from taking more. Its messages can still be got, unless drop is set.
// Only the first call counts.
func (q *queue) end(err error, drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if drop {
		q.items, q.bytes = nil, 0
	}
	if q.err == nil {
		q.err = err
		close(q.done)
	}
}

func (q *queue) at() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursor
}
