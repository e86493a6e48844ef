queue.move
{"run":"@run","position":1}
