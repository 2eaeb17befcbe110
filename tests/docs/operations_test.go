package docs_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"belfry/tests/harness"
)

// Each metric that the broker exports stands on the page for operators, and each
// that the page names is exported.
func TestOperationsMetrics(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	b := harness.Start(t, "--data="+t.TempDir())
	exported := metricNames(`(?m)^# TYPE (belfry_\w+) `, b.Call(t, "GET", "/metrics", "").Body)
	described := metricNames(`\b(belfry_[a-z_]+[a-z])`, string(page))
	delete(described, "belfry_publish_duration_seconds_bucket")
	delete(described, "belfry_tls_certificate_expiry_timestamp_seconds") // a broker without TLS has none
	if len(exported) < 40 {
		t.Fatalf("%d metrics are exported", len(exported))
	}
	for _, name := range slices.Sorted(maps.Keys(exported)) {
		if !described[name] {
			t.Errorf("%s is exported, and not on the page", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(described)) {
		if !exported[name] {
			t.Errorf("%s is on the page, and not exported", name)
		}
	}
}

func metricNames(pattern, text string) map[string]bool {
	names := make(map[string]bool)
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		names[match[1]] = true
	}
	return names
}
