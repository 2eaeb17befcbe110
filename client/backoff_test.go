package client_test

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"belfry/client"
)

// TestBackoffOfAnyOptions: absurd options do not end the program.
func TestBackoffOfAnyOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []client.PublisherOptions{
		{MinBackoff: -1},
		{MinBackoff: -time.Hour, MaxBackoff: -time.Hour},
		{MinBackoff: math.MinInt64, MaxBackoff: math.MaxInt64},
		{MinBackoff: 1, MaxBackoff: math.MaxInt64, RetryFor: math.MaxInt64},
		{MinBackoff: math.MaxInt64, RetryFor: math.MaxInt64},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{}
			for range 80 {
				s.answers = append(s.answers, noRoute)
			}
			s.answers = append(s.answers, taken)
			o.HTTPClient = &http.Client{Transport: s}
			_, _ = client.NewPublisher("http://b/", &o).Publish(t.Context(), client.Publication{Topic: "t"}, "") // it ends
		})
	}
}
