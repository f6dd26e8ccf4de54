package batch

import (
	"encoding/json"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// noticeData is what people are told of a batch.
type noticeData struct {
	Batch  string `json:"batch"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	Text   string `json:"text"`
	Counts Counts `json:"counts"`
}

// notices are what people are told when a batch goes from one state to another:
// that it is done, or that it begins nothing more before a person does something.
func notices(before, after State, c Counts, version int64) []store.Notice {
	if before.Status == after.Status {
		return nil
	}
	text := ""
	switch after.Status {
	case Done:
		text = fmt.Sprintf("batch %s is done: %d of %s succeeded", after.Name, c.Succeeded, items(after.Items))
	case Stopped:
		text = fmt.Sprintf("batch %s has stopped: %s", after.Name, after.Note)
	case WaitingForCanary:
		text = fmt.Sprintf("batch %s asks: %s", after.Name, after.Note)
	case Running, Paused, Cancelled: // somebody has just done that
		return nil
	}
	data, err := json.Marshal(noticeData{Batch: after.ID, Name: after.Name, Status: after.Status, Text: text, Counts: c})
	if err != nil {
		panic(fmt.Sprintf("what people are told of a batch cannot be encoded: %v", err))
	}
	return []store.Notice{{Key: fmt.Sprintf("batch/%s/%s/%d", after.ID, after.Status, version), Kind: store.NoticeBatchDone, Data: data, At: after.Updated}}
}
