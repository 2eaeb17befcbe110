package resume_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"belfry/tests/harness"
)

var slowTime = flag.Duration("slow", 0, "how long TestLatestLine reads from a slow line; 0 leaves it out")

// TestLatestLine: over a line of 10 KB/s comes, of 100 topics that change 1,000
// times a second in all, always what is nearly the newest. It depends on time: see
// make slow.
func TestLatestLine(t *testing.T) {
	if *slowTime == 0 {
		t.Skip("run make slow")
	}
	const topics, perSecond, lineRate = 100, 1000, 10_000
	b := harness.Start(t, "--history-events=10")
	w := b.SocketFrom(t, harness.SmallBuffer, harness.V1Opening("/ws?topic=t.*&slow=latest"))
	w.AcceptedV1(t)
	tap := &tap{Conn: w.Conn, rate: lineRate}
	w.In = bufio.NewReaderSize(tap, 256) // what is read ahead would be old

	// The newest value of each topic, and since when.
	var changed [topics]atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	lines, feed := io.Pipe()
	go func() {
		defer close(stopped)
		response, err := (&http.Client{Transport: b.HTTP.Transport}).Post("http://"+b.Addr+"/publish", "application/x-ndjson", lines)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
	}()
	go func() {
		defer feed.Close()
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			at := time.Now().UnixNano()
			changed[n%topics].Store(at)
			fmt.Fprintf(feed, `{"topic":"t.%d","message":%d}`+"\n", n%topics, at)
		}
	}()

	begun := time.Now()
	had := make(map[string]time.Time)
	var ages, turns []time.Duration
	sizes, events, mostWaiting, mostUnsent := 0, 0, 0.0, 0
	for time.Since(begun) < *slowTime {
		if err := w.SetReadDeadline(time.Now().Add(harness.Patience)); err != nil {
			t.Fatal(err)
		}
		op, payload, err := harness.ReadFrame(w.In)
		if err != nil {
			t.Fatalf("it was cut off: %v", err)
		}
		if op != harness.Text || !strings.Contains(payload, `"type":"event"`) {
			continue
		}
		var topic string
		var at int64
		_, rest, _ := strings.Cut(payload, `"topic":"`)
		topic, _, _ = strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(payload, `"data":`)
		fmt.Sscan(rest[:strings.IndexByte(rest, ',')], &at)
		now := time.Now()
		ages = append(ages, now.Sub(time.Unix(0, at)))
		if before, ok := had[topic]; ok {
			turns = append(turns, now.Sub(before))
		}
		had[topic] = now
		sizes += len(payload) + 4
		if events++; events%50 == 0 {
			mostWaiting = max(mostWaiting, b.Metric(t, "belfry_client_queue_bytes"))
			mostUnsent = max(mostUnsent, unsent(t, w.Conn))
		}
	}
	close(stop)
	<-stopped
	sweep := time.Duration(float64(sizes) / float64(events) * topics / lineRate * float64(time.Second))
	settled, oldest := turns[len(turns)/4:], slices.Max(ages[len(ages)/4:])
	t.Logf("%d events of %d bytes; a sweep takes %v on the line", events, sizes/events, sweep)
	t.Logf("between two values of a topic: median %v, most %v (%.2f sweeps)", harness.Quantile(settled, .5), slices.Max(settled), float64(slices.Max(settled))/float64(sweep))
	t.Logf("age of a value that arrives: median %v, most %v (%.2f sweeps)", harness.Quantile(ages[len(ages)/4:], .5), oldest, float64(oldest)/float64(sweep))
	t.Logf("waiting at most: %v bytes in the broker, %d unsent in the kernel", mostWaiting, mostUnsent)
	if len(had) != topics {
		t.Errorf("%d topics have come", len(had))
	}
	if most := slices.Max(settled); most > sweep*3/2 {
		t.Errorf("a topic waited %v, more than 1.5 sweeps", most)
	}
	if oldest > sweep*3/2 {
		t.Errorf("a value was %v old, more than 1.5 sweeps", oldest)
	}
	if mostUnsent > 64<<10 || mostWaiting > 64<<10 {
		t.Error("too much waits")
	}
}

// A tap is a line that lets so many bytes through in a second.
type tap struct {
	net.Conn
	rate  int
	begun time.Time
	read  int
}

func (l *tap) Read(p []byte) (int, error) {
	if l.begun.IsZero() {
		l.begun = time.Now()
	}
	n, err := l.Conn.Read(p[:min(len(p), 256)])
	l.read += n
	time.Sleep(time.Until(l.begun.Add(time.Duration(l.read) * time.Second / time.Duration(l.rate))))
	return n, err
}

// unsent returns how many bytes the kernel holds unsent for the broker's end of
// a connection, which runs in this process.
func unsent(t *testing.T, conn net.Conn) (most int) {
	t.Helper()
	client, server := conn.LocalAddr().String(), conn.RemoteAddr().String()
	for fd := range 4096 {
		peer, err := unix.Getpeername(fd)
		if err != nil {
			continue
		}
		own, err := unix.Getsockname(fd)
		if err == nil && address(peer) == client && address(own) == server {
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			return int(info.Notsent_bytes)
		}
	}
	t.Fatal("the broker's end is not found")
	return 0
}

func address(s unix.Sockaddr) string {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return fmt.Sprintf("%v:%d", net.IP(s.Addr[:]), s.Port)
	case *unix.SockaddrInet6:
		return fmt.Sprintf("%v:%d", net.IP(s.Addr[:]), s.Port)
	}
	return ""
}
