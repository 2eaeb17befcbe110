package serve

import (
	"belfry/api"
	"belfry/cli/serve/logging"
	"belfry/config"
)

// LogOptionsOf returns the log's options of a configuration.
func LogOptionsOf(cfg config.Config) logging.Options {
	return logging.Options{Level: cfg.LogLevel, Format: cfg.LogFormat, QueueBytes: cfg.LogQueueBytes}
}

// show sets the configuration that operators see.
func (b *Broker) show(cfg config.Config) {
	rows := cfg.Rows()
	settings := make([]api.Setting, len(rows))
	for i, row := range rows {
		settings[i] = api.Setting(row)
	}
	b.shown.Store(&settings)
}

// settings is the [api.Options.Settings].
func (b *Broker) settings() []api.Setting { return *b.shown.Load() }
