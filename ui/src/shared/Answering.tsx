import { useAnswering } from '../store/team';
import './question.css';

/** So that two people do not answer at once. The first answer counts, whoever gives it. */
export function Answering({ project, question }: { project: string; question: string }) {
  const names = useAnswering(project, question);
  return (
    <span className="answering" role="status" data-testid={`answering-${question}`}>
      {names !== '' && (
        <>
          <span className="typing-dots" aria-hidden="true" /> {names} {names.includes(', ') ? 'are' : 'is'} answering…
        </>
      )}
    </span>
  );
}
