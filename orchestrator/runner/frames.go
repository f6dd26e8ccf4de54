package runner

import (
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// maxLogged bounds how much of an unknown frame is logged, in bytes.
const maxLogged = 4 << 10

// knownFrames are the types that App Servers up to 0.32 are known to send.
func knownFrames() []string {
	return []string{
		appclient.TypeStreamDelta, appclient.TypeTurnFinished, appclient.TypeLoopStatus, appclient.TypeDeviceStatus,
		appclient.TypeQueue, appclient.TypeSubagentState, appclient.TypeControlRequest, appclient.TypeExternalToolRequest,
		appclient.TypeInputAccepted, "file_ops", "file_changed", "memory_updated", "skills_updated", "crons_updated",
	}
}

func knownDeltas() []string {
	return []string{
		appclient.DeltaAssistant, appclient.DeltaReasoning, appclient.DeltaUser, appclient.DeltaApprovalRequest,
		appclient.DeltaToolCall, appclient.DeltaToolReturn, appclient.DeltaToolStart, appclient.DeltaToolEnd, appclient.DeltaUsage,
		appclient.DeltaStopReason, appclient.DeltaEvent, appclient.DeltaSummary, appclient.DeltaError, appclient.DeltaStatus,
		appclient.DeltaRetry, appclient.DeltaLoopError, appclient.DeltaSlashCommandStart, appclient.DeltaSlashCommandEnd,
		"command_start", "command_end", "approval_classification_end",
	}
}

// unknown returns a function that says which frames are of a type nobody knows.
func unknown() func(appclient.Frame) bool {
	known := knownFrames()
	return func(f appclient.Frame) bool {
		return !slices.Contains(known, f.Type) && !strings.HasSuffix(f.Type, "_response") &&
			!strings.HasPrefix(f.Type, "terminal_") && !strings.HasPrefix(f.Type, "channel")
	}
}

// unknownDelta puts a delta of a kind nobody knows into the debug log.
func unknownDelta(log zerolog.Logger, e appclient.Event) {
	if e.Delta != nil && !slices.Contains(knownDeltas(), e.Delta.MessageType) {
		logFrame(log, e.Frame, "unknown delta")
	}
}

func logFrame(log zerolog.Logger, f appclient.Frame, message string) {
	log.Debug().Str("type", f.Type).Str("channel", string(f.Channel)).Int("bytes", len(f.Raw)).
		Str("raw", strings.ToValidUTF8(string(f.Raw[:min(len(f.Raw), maxLogged)]), "")).Msg(message)
}
