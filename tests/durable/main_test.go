package durable_test

import (
	"testing"

	"belfry/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
