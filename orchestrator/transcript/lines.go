package transcript

import "bytes"

func countLines(lines []byte) int64 { return int64(bytes.Count(lines, []byte("\n"))) }

// lastEnd is the last line where it is the end of the attempt, and short.
func lastEnd(lines []byte) []byte {
	body := bytes.TrimSuffix(lines, []byte("\n"))
	last := lines[bytes.LastIndexByte(body, '\n')+1:]
	if len(last) > 16<<10 || !bytes.Contains(last, []byte(`"type":"`+End+`"`)) && !bytes.Contains(last, []byte(`"type":"`+Found+`"`)) {
		return nil
	}
	return last
}
