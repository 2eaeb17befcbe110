package client

import "time"

// A watch reports a connection that is silent for too long.
type watch struct {
	ping chan struct{} // of capacity 1: it is time for a ping

	// Owned by the reader.
	asking, dying       *time.Timer
	pingAfter, endAfter time.Duration // 0 or less: never
}

// newWatch returns a watch that calls end when the connection is dead.
func newWatch(end func()) *watch {
	w := &watch{ping: make(chan struct{}, 1)}
	w.asking = time.AfterFunc(time.Hour, func() { signal(w.ping) })
	w.dying = time.AfterFunc(time.Hour, end)
	w.stop()
	return w
}

// set starts the watch for a broker with a heartbeat of the given interval (0: unknown).
func (w *watch) set(opts Options, heartbeat time.Duration) {
	switch {
	case opts.PingAfter != 0:
		w.pingAfter = opts.PingAfter
	case heartbeat > 0:
		w.pingAfter = heartbeat + heartbeat/4
	default:
		w.pingAfter = defaultPingAfter
	}
	w.endAfter = 2 * heartbeat
	if unanswered := w.pingAfter + opts.PingTimeout; w.pingAfter > 0 && (heartbeat == 0 || unanswered < w.endAfter) {
		w.endAfter = unanswered
	}
}

// defaultPingAfter is for brokers without heartbeats.
const defaultPingAfter = 30 * time.Second

// heard starts the interval again.
func (w *watch) heard() {
	if w.pingAfter > 0 {
		w.asking.Reset(w.pingAfter)
	}
	if w.endAfter > 0 {
		w.dying.Reset(w.endAfter)
	}
}

func (w *watch) stop() {
	w.asking.Stop()
	w.dying.Stop()
}
