package logging

import (
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logOptions configure the log.
type Options struct {
	Level      string // of zap: debug, info, warn, error
	Format     string // json, console, or auto: console for a terminal
	QueueBytes int    // bound of the lines that wait to be written
}

// A Logger is a logger whose level can change.
type Logger struct {
	*zap.Logger
	level zap.AtomicLevel
	Queue *logQueue
}

// Set changes the level.
func (l Logger) Set(name string) {
	if level, err := zapcore.ParseLevel(name); err == nil { // checked by config
		l.level.SetLevel(level)
	}
}

// newLogger returns a logger that writes JSON, or text for a terminal. A goroutine writes
// the lines, so its close must be called at the end.
func New(opts Options, out io.Writer) Logger {
	level := zap.NewAtomicLevel()
	encoder := newEncoder(opts.Format, isTerminal(out))
	queue := newLogQueue(out, encoder.Clone(), opts.QueueBytes)
	l := Logger{zap.New(zapcore.NewCore(encoder, queue, level), zap.ErrorOutput(queue)), level, queue}
	l.Set(opts.Level)
	return l
}

func newEncoder(format string, terminal bool) zapcore.Encoder {
	enc := zap.NewProductionEncoderConfig()
	if format == "console" || format == "auto" && terminal {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeLevel = zapcore.CapitalColorLevelEncoder
		return zapcore.NewConsoleEncoder(enc)
	}
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zapcore.NewJSONEncoder(enc)
}

// Close writes the remaining lines, if anybody reads them.
func (l Logger) Close() { l.Queue.close() }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Sampled returns a logger that writes ten lines of a message in a second, and then a few:
// a client may cause any number of them.
func Sampled(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 10, 1000)
	}))
}
