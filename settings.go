package main

import (
	"belfry/api"
	"belfry/config"
)

// logOptionsOf is how a configuration has it logged.
func logOptionsOf(cfg config.Config) logOptions {
	return logOptions{Level: cfg.LogLevel, Format: cfg.LogFormat, QueueBytes: cfg.LogQueueBytes}
}

// show keeps what operators are shown of the configuration in force.
func (b *broker) show(cfg config.Config) {
	rows := cfg.Rows()
	settings := make([]api.Setting, len(rows))
	for i, row := range rows {
		settings[i] = api.Setting(row)
	}
	b.shown.Store(&settings)
}

// settings is the [api.Options.Settings].
func (b *broker) settings() []api.Setting { return *b.shown.Load() }
