package hub

import "time"

// A client whose connections take each other over again and again is two
// pages that fight; the newcomer is then refused.
const (
	maxTakeovers   = 5
	takeoverWindow = 10 * time.Second
)

// mayTakeOver counts a takeover unless there were too many of late.
func (c *client) mayTakeOver(now time.Duration) bool {
	now++ // so that none was at 0
	if c.takeovers == nil {
		c.takeovers = new([maxTakeovers]time.Duration)
	}
	oldest := 0
	for i, at := range c.takeovers {
		if at < c.takeovers[oldest] {
			oldest = i
		}
	}
	if at := c.takeovers[oldest]; at > 0 && now-at < takeoverWindow {
		return false
	}
	c.takeovers[oldest] = now
	return true
}
