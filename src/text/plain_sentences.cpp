// The built-in templates. A sentence is here if a person, a thing, a place, an event or an idea can
// stand in it alike, in the singular or the plural: it is about saying, thinking, remembering,
// reading or expecting something, its verb has one form for both numbers, and no article or
// adjective beside the place agrees with the word.
#include "text/word_template.h"

namespace moescope::text {
namespace {

constexpr std::string_view kSentences = R"(Nobody said anything about the {} that day.
We talked about the {} for a long time.
She wrote a few lines about the {} in her letter.
He had not thought of the {} until this morning.
They asked me about the {} and I told them what I knew.
I could not stop thinking about the {} after that.
In the end it was the {} that mattered most to us.
At first only the {} seemed to be of any interest.
There was nothing in the report about the {} at all.
You will read more about the {} in the next part.
What we know about the {} comes from a single source.
Most people had heard of the {} by then.
It took us years to learn the truth about the {} and the rest.
As far as I remember, the {} came last.
Some said it was because of the {}, others did not agree.
Without the {} it would have been another story.
If the {} had not been there, we would have noticed.
Everything depended on the {} in those days.
This is what the book says about the {} on the first page.
I was told that the {} had changed a great deal.
He asked whether the {} would make any difference.
She was the first to mention the {} to the others.
For a moment they thought of the {} and said nothing.
Before long the {} became known all over the country.
The question of the {} was never answered.
The story of the {} is told in many ways.
The word for the {} is not the same in every language.
A note on the {} was printed next to the text.
The name of the {} had been left out of the list.
The second chapter describes the {} in some detail.
When the talk turned to the {}, everyone listened.
It seems that the {} did not please him very much.
Nothing could be done about the {} that year.
I have never understood why the {} should be so important.
They compared the {} with everything they had seen before.
We were surprised that nobody mentioned the {} again.
All of this began with the {} many years ago.
Perhaps the {} will be remembered longer than we think.
The teacher said a few words about the {} and went on.
According to the paper, the {} had been the reason.
He knew more about the {} than anybody else.
Of all these, the {} must have been the best known.
My question about the {} is a simple one.
Her opinion of the {} has not changed since then.
Their views on the {} were not the same as ours.
His first idea had something to do with the {} as well.
Now and then the {} would come to my mind.
One could say that the {} belonged to another time.
Once more the {} made the front page of the paper.
So much has been said about the {} that I will be brief.
)";

}  // namespace

const std::vector<WordTemplate>& PlainSentences() {
  static const std::vector<WordTemplate> templates =
      ParseWordTemplates(kSentences, "the built-in templates");
  return templates;
}

}  // namespace moescope::text
