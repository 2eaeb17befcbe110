package resume_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"belfry/tests/harness"
)

// TestRetryStorm: publishers repeat what they have no answer for, over lines that
// are cut all the time. Each event is in the log once, and has one receipt.
func TestRetryStorm(t *testing.T) {
	t.Parallel()
	const publishers, events = 50, 10
	b := harness.Start(t, "--history-events=100000")
	p := harness.NewProxy(t, b.Addr)
	subscriber := b.Connect(t, b.Register(t, `{"user_id": 1, "topic": "storm"}`))
	var attempts, repeats atomic.Int64
	var running sync.WaitGroup
	for n := range publishers {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			client := &http.Client{Transport: &http.Transport{}, Timeout: harness.Patience}
			defer client.CloseIdleConnections()
			for i := range events {
				message := fmt.Sprintf("%d-%d", n, i)
				var first *harness.Receipt
				for answered, times := 0, 1+random.IntN(3); answered < times; {
					if attempts.Add(1)%20 == 0 {
						p.Cut()
					}
					got := publishOnce(t, client, p.Addr, message)
					if got == nil {
						continue // nobody knows whether it was published
					}
					answered++
					if got.Duplicate {
						repeats.Add(1)
					}
					got.Duplicate = false
					if first == nil {
						first = got
					} else if *got != *first {
						t.Errorf("%s: receipts %+v and %+v", message, *first, *got)
					}
				}
			}
		})
	}
	running.Wait()
	if n := b.Metric(t, "belfry_events_published_total"); n != publishers*events {
		t.Errorf("%v events were published, want %d", n, publishers*events)
	}
	var seen []string
	for range publishers * events {
		seen = append(seen, subscriber.Next(t))
	}
	subscriber.Silent(t)
	slices.Sort(seen)
	if different := slices.Compact(seen); len(different) != publishers*events {
		t.Errorf("%d of %d events have come", len(different), publishers*events)
	}
	t.Logf("%d attempts, %d repeats told", attempts.Load(), repeats.Load())
	if repeats.Load() == 0 {
		t.Error("nothing was repeated")
	}
}

// publishOnce publishes with the message as the key. It returns nil if the answer is not
// complete.
func publishOnce(t *testing.T, client *http.Client, addr, message string) *harness.Receipt {
	request, err := http.NewRequest("POST", "http://"+addr+"/publish", strings.NewReader(harness.Event("storm", message)))
	if err != nil {
		t.Error(err)
		return nil
	}
	request.Header.Set("Idempotency-Key", message)
	response, err := client.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", message, response.Status)
	}
	got := new(harness.Receipt)
	if json.NewDecoder(response.Body).Decode(got) != nil {
		return nil
	}
	return got
}
