-- tags: which project and type an event is of, as words that no tokenizer takes apart. So a search that asks for them
-- meets them in the index, instead of looking at every event that has the words. Every event is in it, also one without
-- a body. Written anew from the first event on, in quiet moments.
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5(body, tags, content = '', contentless_delete = 1, tokenize = 'unicode61');
DELETE FROM meta WHERE key = 'indexed';

-- For lists that would otherwise look at every run of a project, or every question ever asked.
CREATE INDEX runs_status ON runs (project, status, number);
CREATE INDEX approvals_opened ON approvals (opened);
