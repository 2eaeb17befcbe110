package limit

import (
	"testing"
	"time"
)

// TestTinyRate: a rate of less than one event in as long as times can say is a limit, too.
func TestTinyRate(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []float64{1e-6, 1e-9, 1e-10, 1e-12, 1e-300} {
		now := time.Unix(1_800_000_000, 0)
		p := NewPublishers(PublishLimits{Keys: map[string]float64{"k": perSecond}}, func() time.Time { return now })
		if _, ok := p.Key("k", 1); !ok {
			t.Errorf("%g: the first is refused", perSecond)
		}
		for range 5 {
			now = now.Add(time.Minute)
			if status, ok := p.Key("k", 1); ok || status.Wait <= 0 || status.Full <= 0 {
				t.Errorf("%g: taken %v, %+v", perSecond, ok, status)
			}
		}
	}
}
